"""What nodes take of the machine, as their runs have it."""

from __future__ import annotations

import pytest

from penstock.execution.resources import read_resources
from penstock.metadata.layout import resources_path
from penstock.runners.local import LocalRunner
from penstock_support.busy_components import busy, killed


@pytest.fixture
def run(tmp_path):
    runner = LocalRunner(pipeline_root=str(tmp_path), metadata=str(tmp_path / "metadata.sqlite"))

    def run(made):
        result = runner.run(made, raise_on_failure=False)
        folder = str(tmp_path / ".runs" / result.run_id)
        [node_id] = result.nodes
        return result, read_resources(resources_path(folder, node_id))

    return run


def test_a_node_has_samples_from_its_beginning_to_its_end(run):
    result, taken = run(busy)
    assert result.succeeded
    assert len(taken.samples) > 4
    assert taken.samples[0].seconds < 0.3
    assert 0.4 < taken.cpu_seconds < 5
    assert taken.peak_memory_bytes > 10_000_000


def test_of_a_killed_node_there_is_what_was_sampled_until_then(run, tmp_path, monkeypatch):
    monkeypatch.setenv("LOOKED_AT", str(tmp_path / ".runs/*/Killed.resources.jsonl"))
    result, taken = run(killed)
    assert "SIGKILL" in result.nodes["Killed"].error
    assert len(taken.samples) >= 3


def test_a_node_that_comes_from_the_cache_takes_nothing(run):
    run(busy)
    _, taken = run(busy)
    assert taken is None
