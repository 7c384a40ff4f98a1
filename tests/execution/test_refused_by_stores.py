"""What a store refuses costs its own node at most, and says what it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from penstock import LocalRunner
from penstock.metadata.store import connect, connection_config
from penstock.runners.local.display import Silent
from penstock_support import refused_components as refused
from penstock_support.store_fixtures import mariadb, postgresql  # noqa: F401  # by their names

KEPT = {
    "Good",
    "After",
    "Undeclared",
    "OtherKind",
    "LongKey",
    "LargeNumber",
    "LongText",
    "Named",
    "NamedAgain",
    "LongParameter",
}


class Notes(Silent):
    """Keeps what is said of nodes that are done."""

    def __init__(self) -> None:
        self.by_node: dict[str, str] = {}

    def changed(self, node):
        if node.state.successful:
            self.by_node[node.name] = node.note


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "postgresql"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    address = str(folder / "metadata.sqlite")
    if request.param != "sqlite":
        address = request.getfixturevalue(request.param).address("refused")
    notes = Notes()
    runner = LocalRunner(
        pipeline_root=str(folder / "root"), metadata=address, parallelism=1, display=notes
    )
    result = runner.run(refused.refused, raise_on_failure=False)
    return SimpleNamespace(
        nodes=result.nodes, notes=notes.by_node, address=address, kind=request.param
    )


def property_of(made, node, name):
    [artifact] = made.nodes[node].outputs["examples"]
    with connect(connection_config(made.address)) as metadata:
        [stored] = metadata.store.get_artifacts_by_id([artifact.id])
    return stored.custom_properties[name]


def recorded(made, node):
    with connect(connection_config(made.address)) as metadata:
        [execution] = metadata.store.get_executions_by_id([made.nodes[node].execution_id])
    return execution


def test_what_a_node_has_made_is_kept_without_what_the_store_refuses(made):
    done = {name for name, node in made.nodes.items() if node.state.value == "done"}
    assert done - {"LongAddress"} == KEPT


def test_a_property_that_the_type_does_not_have_becomes_a_custom_one(made):
    assert property_of(made, "Undeclared", "undeclared").string_value == "x"
    assert property_of(made, "OtherKind", "span").string_value == "x"


def test_a_long_text_is_kept(made):
    assert property_of(made, "LongText", "text").string_value == refused.LONG_TEXT


def test_a_number_that_is_too_large_for_a_server_is_left_out_there(made):
    expected = 2**40 if made.kind == "sqlite" else 0
    assert property_of(made, "LargeNumber", "rows").int_value == expected


def test_an_address_that_is_too_long_fails_its_node_and_says_so(made):
    error = made.nodes["LongAddress"].error
    if made.kind == "sqlite":
        assert error == ""
    else:
        assert error.startswith("node LongAddress: the store refuses what it has made: ")
        assert recorded(made, "LongAddress").last_known_state == recorded(made, "LongError").FAILED


def test_an_error_of_any_text_is_that_of_its_node(made):
    assert "half of a character: \\ud800" in made.nodes["LoneSurrogate"].error
    assert refused.LONG_TEXT[:6_000] in made.nodes["LongError"].error
    for node in ("LoneSurrogate", "LongError"):
        execution = recorded(made, node)
        assert execution.last_known_state == execution.FAILED


def test_the_second_of_two_with_one_name_has_none(made):
    with connect(connection_config(made.address)) as metadata:
        found = [
            artifact.name
            for name in ("Named", "NamedAgain")
            for artifact in metadata.store.get_artifacts_by_id(
                [made.nodes[name].outputs["examples"][0].id]
            )
        ]
    assert sorted(found) == ["", "the-same-for-all"]


def test_what_was_changed_of_a_node_that_failed_is_told_of_no_other(made):
    assert not [note for note in made.notes.values() if "__execution_result__" in note]
