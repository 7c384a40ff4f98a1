"""`penstock model`, as its users see it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock as group
from penstock_support.histories import History
from penstock_support.registered import alter, trained

pytestmark = pytest.mark.core


@pytest.fixture
def models(tmp_path):
    """The ids of the models of two runs, by run."""
    (tmp_path / ".penstock").mkdir()
    with connect(connection_config(str(tmp_path / ".penstock/metadata.sqlite"))) as metadata:
        history = History(metadata.store, tmp_path)
        yield {
            run: trained(history, run, auc=auc, span=span, parameters={"steps": span})
            for span, (run, auc) in enumerate((("run-a", 0.8), ("run-b", 0.9)), 1)
        }


@pytest.fixture
def call(models, tmp_path, monkeypatch):
    """Call the command line in a folder whose store has two runs that made models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_USER", "ann")
    return lambda *arguments: CliRunner().invoke(group, arguments)


@pytest.fixture
def registered(call):
    for run in ("run-a", "run-b"):
        call("model", "register", run, "flights")
    return call


def test_the_model_of_a_run_is_registered(call):
    assert call("model", "register", "run-a", "flights").output == "flights@1 is registered\n"


def test_an_alias_is_given_along_with_it(call):
    output = call("model", "register", "run-a", "flights", "--alias", "challenger").output
    assert output == "flights@1 is registered (challenger)\n"


def test_without_models_it_is_said_how_one_is_registered(call):
    assert "penstock model register RUN NAME" in call("model", "list").output


def test_models_are_listed_with_their_aliases(registered):
    registered("model", "promote", "flights@2")
    assert registered("model", "list").output == "flights  2 versions  champion 2\n"


def test_a_move_says_what_the_alias_was_before(registered):
    registered("model", "promote", "flights@1")
    output = registered("model", "promote", "flights@2").output
    assert output == "champion of flights is flights@2; it was flights@1\n"
    output = registered("model", "rollback", "flights").output
    assert output == "champion of flights is flights@1; it was flights@2\n"


def test_the_history_says_who_and_why(registered):
    registered("model", "alias", "flights@1", "shadow", "--why", "to see it", "--who", "bob")
    last = registered("model", "show", "flights").output.splitlines()[-1]
    assert last.endswith("shadow  none -> 1  move by bob: to see it")


def test_who_is_the_user_that_the_environment_names(registered):
    moved = json.loads(registered("model", "promote", "flights@1", "--json").output)
    assert (moved["model"], moved["who"], moved["to"]) == ("flights", "ann", 1)


def test_whoever_saw_another_version_is_refused(registered):
    registered("model", "promote", "flights@1")
    error = registered("model", "promote", "flights@2", "--if-at", "none").exception
    assert "should stand for no version, and ann has moved it to version 1" in str(error)


def test_a_version_is_shown_with_what_made_it(registered):
    lines = [line.split() for line in registered("model", "show", "flights@2").output.splitlines()]
    assert ["run", "run-b", "(p,", "Trainer)"] in lines
    assert ["data", "CsvExampleGen", "span", "2"] in lines
    assert ["parameters", "steps=2"] in lines
    assert ["metrics", "auc", "0.9000"] in lines


def test_a_version_that_may_not_be_served_is_shown_and_is_an_error(registered, models, tmp_path):
    with connect(connection_config(str(tmp_path / ".penstock/metadata.sqlite"))) as metadata:
        alter(History(metadata.store, tmp_path), models["run-a"])
    shown = registered("model", "show", "flights@1")
    assert shown.output.startswith("flights@1")
    assert "flights@1 may not be served" in str(shown.exception)


def test_two_versions_are_held_against_each_other(registered):
    lines = [
        line.split() for line in registered("model", "diff", "flights@1", "2").output.split("\n")
    ]
    assert ["parameter", "steps", "1", "->", "2"] in lines
    assert ["metric", "auc", "0.8", "->", "0.9"] in lines


def test_an_archived_version_is_marked(registered):
    assert registered("model", "archive", "flights@1").output == "flights@1 is archived\n"
    assert "archived" in registered("model", "show", "flights").output.splitlines()[2]
    assert registered("model", "restore", "flights@1").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote", "flights"], "expected NAME@VERSION or NAME@ALIAS, got 'flights'"),
        (["alias", "flights", "shadow"], "expected NAME@VERSION, or NAME with --remove"),
        (["alias", "flights@1", "shadow", "--remove"], "expected NAME@VERSION, or NAME with --rem"),
        (["promote", "flights@1", "--if-at", "x"], "--if-at: expected the number of a version"),
        (["alias", "flights@1", "shadow", "--if-at", "²"], "--if-at: expected the number of a ver"),
        (["show", "flights@²"], "model flights has no alias '²'"),
        (["show", "fligths"], "there is no registered model 'fligths'"),
    ],
)
def test_what_is_not_understood_is_said(registered, arguments, message):
    assert message in str(registered("model", *arguments).exception)


def test_what_somebody_wrote_cannot_command_the_terminal(registered):
    registered(
        "model", "promote", "flights@1", "--who", "a\x1b]0;x\a", "--why", "one\n  two\x1b[2J"
    )
    shown = registered("model", "show", "flights").output
    assert r"promote by a\x1b]0;x\x07: one\n  two\x1b[2J" in shown
    assert shown.replace("\n", "").isprintable()
