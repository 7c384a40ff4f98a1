from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock.report.layout import lay_out

NODES = st.integers(0, 12)


def graph(pairs):
    upstream = {f"n{number}": [] for pair in sorted(pairs) for number in sorted(pair)}
    for first, second in sorted(pairs):
        if first < second:
            upstream[f"n{second}"].append(f"n{first}")
    return upstream


def graphs():
    return st.sets(st.tuples(NODES, NODES), max_size=30).map(graph)


@given(graphs())
def test_no_two_nodes_overlap(upstream):
    places = sorted((y, x) for x, y in lay_out(upstream).nodes.values())
    for (y, x), (other_y, other_x) in pairwise(places):
        assert y != other_y or other_x - x >= 1


@given(graphs())
def test_every_edge_leads_down_a_layer_at_a_time(upstream):
    for points in lay_out(upstream).edges.values():
        assert all(after[1] - before[1] == 1 for before, after in pairwise(points))


@given(graphs())
def test_every_edge_is_drawn(upstream):
    edges = {(other, name) for name, others in upstream.items() for other in others}
    assert lay_out(upstream).edges.keys() == edges


def test_a_chain_is_a_straight_line():
    layout = lay_out({"a": [], "b": ["a"], "c": ["b"]})
    assert [layout.nodes[name] for name in "abc"] == [(0.0, 0.0), (0.0, 1.0), (0.0, 2.0)]


def test_upstream_nodes_that_are_not_drawn_do_not_matter():
    assert lay_out({"b": ["a"]}).edges == {}
