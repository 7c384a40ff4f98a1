from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.execution.schedule import Graph, State, ready, settle


def graph(**upstream: str) -> Graph:
    return Graph({name: frozenset(before.split()) for name, before in upstream.items()})


def states(**named: State) -> dict[str, State]:
    return dict(named)


CHAIN = graph(a="", b="a", c="b", d="")


def test_nodes_without_upstream_are_ready_at_once():
    assert ready(CHAIN, dict.fromkeys("abcd", State.WAITING)) == ["a", "d"]


def test_a_node_waits_for_all_its_upstream_nodes():
    both = graph(a="", b="", c="a b")
    now = states(a=State.DONE, b=State.RUNNING, c=State.WAITING)
    assert ready(both, now) == []


def test_cached_counts_as_done():
    now = states(a=State.CACHED, b=State.WAITING, c=State.WAITING, d=State.DONE)
    assert ready(CHAIN, now) == ["b"]


def test_all_that_depends_on_a_failure_is_settled_with_the_reason():
    now = states(a=State.FAILED, b=State.WAITING, c=State.WAITING, d=State.RUNNING)
    assert settle(CHAIN, now) == {"b": "a failed", "c": "b did not run"}


def test_a_failure_does_not_touch_what_does_not_depend_on_it():
    now = states(a=State.FAILED, b=State.WAITING, c=State.WAITING, d=State.WAITING)
    assert ready(CHAIN, now) == ["d"]


def test_a_node_runs_though_an_optional_input_s_producer_was_skipped():
    optional = Graph({"a": frozenset(), "b": frozenset("a")}, {"a": (), "b": ()})
    assert ready(optional, states(a=State.SKIPPED, b=State.WAITING)) == ["b"]


def test_a_node_is_hopeless_when_the_only_producer_of_a_required_input_was_skipped():
    needed = Graph({"a": frozenset(), "b": frozenset("a")}, {"a": (), "b": (frozenset("a"),)})
    assert ready(needed, states(a=State.SKIPPED, b=State.WAITING)) == []


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 8))
    upstream = {
        str(i): frozenset(str(j) for j in range(i) if draw(st.booleans())) for i in range(size)
    }
    return Graph(upstream), draw(st.sets(st.sampled_from([str(i) for i in range(size)])))


@given(graphs())
def test_every_node_is_settled_in_the_end_whatever_fails(case):
    drawn, failing = case
    now = dict.fromkeys(drawn.upstream, State.WAITING)
    for _ in range(len(now) + 1):
        for name in settle(drawn, now):
            now[name] = State.SKIPPED
        for name in ready(drawn, now):
            now[name] = State.FAILED if name in failing else State.DONE
    assert all(state.final for state in now.values())
