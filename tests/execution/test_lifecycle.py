"""What a node's life says of it when it ends without outputs."""

from __future__ import annotations

import pytest

from penstock import ir, pipeline
from penstock.execution.lifecycle import Life
from penstock.safety.secrets import Redaction
from penstock_support import example_components as examples

pytestmark = pytest.mark.core


@pytest.fixture
def node():
    @pipeline
    def alone():
        return examples.MakeExamples(rows=1, names=["${env:LIFE_SECRET}"]).with_id("node")

    return ir.view(ir.compile_pipeline(alone, pipeline_root="/root")).nodes["node"]


def test_the_secrets_that_a_node_refers_to_are_not_in_its_reason(node, monkeypatch):
    monkeypatch.setenv("LIFE_SECRET", "hunter2 and more")
    broken = Life(None, node).failed("no user hunter2 and more")
    assert broken.reason == "no user ${env:LIFE_SECRET}"


def test_what_else_is_secret_to_a_runner_is_not_in_it_either(node):
    life = Life(None, node, redaction=Redaction({"of the store": "***"}))
    assert life.broken("a password of the store").reason == "a password ***"
