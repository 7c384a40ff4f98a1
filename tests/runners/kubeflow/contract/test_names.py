"""Names of tasks are such as Kubernetes and Argo take."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runners.kubeflow.contract.names import task_names

pytestmark = pytest.mark.core


def test_a_task_s_name_begins_with_a_letter():
    assert task_names(["1st", "9"]) == {"1st": "node-1st", "9": "node-9"}


@pytest.mark.parametrize("order", [1, -1])
def test_no_task_has_the_name_of_another_one_s_driver(order):
    named = task_names(["x", "x-driver", "x-driver-driver"][::order]).values()
    assert len(set(named)) == 3
    assert not {f"{name}-driver" for name in named} & set(named)


@given(st.lists(st.text(max_size=8), unique=True, max_size=6))
def test_any_nodes_have_tasks_of_their_own(node_ids):
    named = list(task_names(node_ids).values())
    assert len(set(named)) == len(node_ids)
    assert not {f"{name}-driver" for name in named} & set(named)
    assert all(re.fullmatch("[a-z][a-z0-9-]*[a-z0-9]|[a-z]", name) for name in named)
