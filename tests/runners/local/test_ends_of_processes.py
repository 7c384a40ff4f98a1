"""A node's process ends as one of its own would."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

import pytest

from penstock.runners.local import State
from penstock_support.ending_components import converts, leaves


def test_what_a_node_leaves_to_the_end_of_its_process_is_done_before_its_output_is_published(
    run_pipeline,
):
    model = run_pipeline(leaves).output("Leaves", "model")
    assert os.listdir(model.uri) == ["at_the_end"]


def test_what_is_to_be_done_at_the_end_of_the_caller_is_not_done_by_a_node(tmp_path, run_pipeline):
    told = tmp_path / "told"
    atexit.register(told.touch)
    try:
        run_pipeline(leaves)
    finally:
        atexit.unregister(told.touch)
    assert not told.exists()


def test_what_fails_at_the_end_of_a_process_is_told_in_the_log_and_fails_no_node(run_pipeline):
    result = run_pipeline(leaves, fails_at_the_end=True)
    assert result.nodes["Leaves"].state is State.DONE
    assert "no end is without a fault" in Path(result.nodes["Leaves"].log_path).read_text()


@pytest.mark.needs("tensorflow")
def test_sources_that_autograph_has_written_are_gone_when_a_node_is_done(run_pipeline):
    model = run_pipeline(converts).output("Converts", "model")
    generated = Path(model.uri, "generated").read_text()
    assert generated.endswith(".py")
    assert not os.path.exists(generated)
