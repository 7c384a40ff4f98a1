"""ServedModel and PreviousWindow: what a window of a log is compared with, by lineage."""

from __future__ import annotations

import pytest

from penstock import registry
from penstock.components import ServedModel
from penstock.errors import WiringError
from penstock.metadata.store import connect, connection_config
from penstock.runners.local import LocalRunner
from penstock.testing import Silent
from penstock_support.served_components import training, watching

pytestmark = pytest.mark.core


@pytest.fixture
def runner(tmp_path):
    return LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
    )


@pytest.fixture
def trained(runner):
    """Two registered versions, trained on rows 1 and 2."""
    for seed in (1, 2):
        runner.run(training, parameters={"seed": seed})


def told(runner, *arguments, **options):
    result = runner.run(watching(*arguments, **options), cache=False)
    [[output]] = result.nodes["told"].outputs.values()
    output.read()
    return output.value


@pytest.mark.usefixtures("trained")
def test_the_version_that_answered_most_is_found_with_what_it_was_made_from(runner):
    assert told(runner, {"1": 900, "2": 100}) == "1 1 1 1 -"
    assert told(runner, {"1": 100, "2": 900}) == "2 2 2 2 -"


@pytest.mark.usefixtures("trained")
def test_a_version_may_be_named(runner):
    assert told(runner, {"1": 900}, version=2) == "2 2 2 2 -"


@pytest.mark.usefixtures("trained")
def test_a_version_may_be_named_by_an_alias(runner, tmp_path):
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        registry.move_alias(metadata.store, "people", "golden", 2, who="ann")
    assert told(runner, {"1": 900}, version="golden") == "2 2 2 2 -"


@pytest.mark.parametrize("versions", [{}, {"7": 10}])
@pytest.mark.usefixtures("trained")
def test_of_a_version_that_the_store_has_not_nothing_is_found(runner, versions):
    assert told(runner, versions) == "- - - -"


def test_before_any_model_is_registered_nothing_is_found(runner):
    assert told(runner, {"1": 10}) == "- - - -"


def test_the_window_before_is_the_last_one_that_ended_before(runner):
    for day in (3, 4):
        told(runner, {}, day, day)
    assert told(runner, {}, 5, 5) == "- - - 4"


def test_windows_of_another_length_or_another_log_do_not_count(runner):
    told(runner, {}, 1, 3)
    told(runner, {}, 4, 4, log="other")
    assert told(runner, {}, 5, 5) == "- - - -"


def test_a_month_comes_after_a_month_of_another_length(runner):
    told(runner, {}, 0, 30)
    assert told(runner, {}, 31, 58) == "- - - 0"


@pytest.mark.parametrize("given", [{}, {"served": "x", "version": 1}])
def test_the_version_is_told_in_one_way(given):
    with pytest.raises(WiringError, match="expected one of served and version"):
        ServedModel("people", **given)
