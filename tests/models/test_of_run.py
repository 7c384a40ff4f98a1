"""The model that a run has made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.errors import RunError
from penstock.models.of_run import model_of_result

pytestmark = pytest.mark.core


def run(**models: list[str]) -> Any:
    """Return a run whose nodes have made models in these folders."""

    def made(uris: list[str]) -> list[Any]:
        return [SimpleNamespace(type_name="Model", uri=uri) for uri in uris]

    nodes = {
        name: SimpleNamespace(outputs={"model": made(uris)}, resolver=name == "resolver")
        for name, uris in models.items()
    }
    return SimpleNamespace(run_id="some-run", nodes=nodes)


def test_the_one_model_is_found_behind_those_who_pass_it_on():
    assert model_of_result(run(Trainer=["/a"], resolver=["/a"])).uri == "/a"


def test_several_models_of_one_node_are_not_one():
    with pytest.raises(RunError, match="should have made one model, and has made 2: by Trainer"):
        model_of_result(run(Trainer=["/a", "/b"]))


def test_what_a_resolver_has_found_is_no_model_of_the_run():
    assert model_of_result(run(Trainer=["/b"], resolver=["/a"])).uri == "/b"
