from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.execution.schedule import Graph, State, Trigger, ready, settle

pytestmark = pytest.mark.core


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


AFTER_ALL = Graph(
    graph(a="", b="a", clean="b").upstream, triggers={"clean": Trigger.UPSTREAM_COMPLETED}
)


def test_a_node_that_starts_when_all_have_ended_runs_after_a_failure():
    now = states(a=State.DONE, b=State.FAILED, clean=State.WAITING)
    assert ready(AFTER_ALL, now) == ["clean"]


def test_a_node_that_starts_when_all_have_ended_runs_after_one_that_could_not_run():
    now = states(a=State.FAILED, b=State.WAITING, clean=State.WAITING)
    assert settle(AFTER_ALL, now) == {"b": "a failed"}
    assert ready(AFTER_ALL, {**now, "b": State.SKIPPED}) == ["clean"]


def test_a_node_that_starts_when_all_have_ended_does_not_run_after_a_cancellation():
    now = states(a=State.DONE, b=State.CANCELED, clean=State.WAITING)
    assert settle(AFTER_ALL, now) == {"clean": "b was canceled"}


def test_a_node_runs_after_the_failure_of_an_optional_one():
    optional = Graph(graph(a="", b="a").upstream, optional=frozenset("a"))
    assert ready(optional, states(a=State.FAILED, b=State.WAITING)) == ["b"]


def test_a_node_does_not_run_when_an_optional_one_before_it_could_not_run():
    optional = Graph(graph(a="", b="a", c="b").upstream, optional=frozenset("b"))
    now = states(a=State.FAILED, b=State.WAITING, c=State.WAITING)
    assert settle(optional, now) == {"b": "a failed", "c": "b did not run"}


LAZY = Graph(
    graph(slow="", lazy="", user="lazy slow").upstream,
    triggers={"lazy": Trigger.LAZILY_UPSTREAM_SUCCEEDED},
)


def test_a_lazy_node_waits_for_what_its_user_waits_for():
    now = states(slow=State.RUNNING, lazy=State.WAITING, user=State.WAITING)
    assert ready(LAZY, now) == []
    assert ready(LAZY, {**now, "slow": State.DONE}) == ["lazy"]


def test_a_lazy_node_does_not_run_when_its_user_cannot():
    now = states(slow=State.FAILED, lazy=State.WAITING, user=State.WAITING)
    assert settle(LAZY, now) == {
        "user": "slow failed",
        "lazy": "user, for which it runs, did not run",
    }


def test_a_lazy_node_that_nobody_uses_runs_at_once():
    alone = Graph(graph(a="").upstream, triggers={"a": Trigger.LAZILY_UPSTREAM_SUCCEEDED})
    assert ready(alone, states(a=State.WAITING)) == ["a"]


def test_a_lazy_node_before_a_lazy_one_waits_for_what_that_waits_for():
    lazy = Trigger.LAZILY_UPSTREAM_SUCCEEDED
    chain = Graph(
        graph(slow="", first="", second="first", user="second slow").upstream,
        triggers={"first": lazy, "second": lazy},
    )
    now = states(slow=State.RUNNING, first=State.WAITING, second=State.WAITING, user=State.WAITING)
    assert ready(chain, now) == []
    assert ready(chain, {**now, "slow": State.DONE}) == ["first"]


def test_a_lazy_node_that_takes_failures_runs_after_one():
    lazily = Graph(
        graph(a="", lazy="a", user="lazy").upstream,
        triggers={"lazy": Trigger.LAZILY_UPSTREAM_COMPLETED},
    )
    now = states(a=State.FAILED, lazy=State.WAITING, user=State.WAITING)
    assert ready(lazily, now) == ["lazy"]


LIFETIME = Graph(
    graph(start="", work="start", end="start work").upstream,
    triggers={"end": Trigger.LIFETIME_END},
    lifetimes={"end": "start"},
)


@pytest.mark.parametrize("work", [State.DONE, State.FAILED, State.SKIPPED])
def test_what_ends_a_lifetime_runs_whatever_became_of_the_work(work):
    assert ready(LIFETIME, states(start=State.DONE, work=work, end=State.WAITING)) == ["end"]


def test_what_ends_a_lifetime_waits_for_the_work():
    now = states(start=State.DONE, work=State.RUNNING, end=State.WAITING)
    assert ready(LIFETIME, now) == []


def test_what_ends_a_lifetime_does_not_run_when_that_never_began():
    now = states(start=State.FAILED, work=State.WAITING, end=State.WAITING)
    assert settle(LIFETIME, now) == {
        "work": "start failed",
        "end": "start, which begins its lifetime, did not run",
    }


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 8))
    names = [str(i) for i in range(size)]
    upstream = {
        str(i): frozenset(str(j) for j in range(i) if draw(st.booleans())) for i in range(size)
    }
    triggers = draw(st.dictionaries(st.sampled_from(names), st.sampled_from(Trigger)))
    optional = draw(st.frozensets(st.sampled_from(names)))
    drawn = Graph(upstream, triggers=triggers, optional=optional)
    return drawn, draw(st.sets(st.sampled_from(names)))


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


@given(graphs())
def test_no_node_runs_before_those_before_it_have_ended(case):
    drawn, failing = case
    now = dict.fromkeys(drawn.upstream, State.WAITING)
    while waiting := [name for name, state in now.items() if state is State.WAITING]:
        for name in settle(drawn, now):
            now[name] = State.SKIPPED
        started = ready(drawn, now)
        assert all(now[before].final for name in started for before in drawn.upstream[name])
        for name in started[:1]:
            now[name] = State.FAILED if name in failing else State.DONE
        assert len(waiting) > len([name for name in now if now[name] is State.WAITING])


def test_who_waits_for_a_node_is_only_looked_for_where_it_runs_for_them(monkeypatch):
    asked = []
    downstream = Graph.downstream

    def counted(self, name):
        asked.append(name)
        return downstream(self, name)

    monkeypatch.setattr(Graph, "downstream", counted)
    settle(CHAIN, dict.fromkeys("abcd", State.WAITING))
    assert asked == []
