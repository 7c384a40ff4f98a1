"""Deployments and rollbacks that were killed: gone on with, undone, or brought to their end."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from penstock import registry
from penstock.metadata import journal
from penstock.operations.delivery.deploying import deploy
from penstock.operations.delivery.deployment import DeployStep, RefusedError
from penstock_support import delivered_project as project
from penstock_support.delivered_project import GOOD, champion, deploying, deployments, wanted


def dies(function, *arguments) -> None:
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -9


@pytest.mark.parametrize("step", [step.name for step in DeployStep])
def test_a_deployment_that_was_killed_is_gone_on_with(config, look, folder, step):
    dies(project.deploy_and_die, str(folder / "penstock.toml"), "f1", step)
    done = deploy(deploying(config), wanted("f1"))
    assert [d.state for d in deployments(look)] == ["done"]
    model = look(registry.read_model, "flights")
    assert [version.run_id for version in model.versions] == [done.run_id]
    assert [move.to for move in model.moves] == [1]


@pytest.mark.parametrize(
    ("step", "state", "moves"),
    [
        ("INTENDED", "undone", [1, 2]),
        ("STARTED", "undone", [1, 2]),
        ("ENDED", "undone", [1, 2]),
        ("DECIDED", "done", [1, 2, 3]),
        ("REGISTERED", "done", [1, 2, 3]),
        ("MOVED", "done", [1, 2, 3]),
    ],
)
def test_what_was_killed_and_is_not_wanted_any_more_is_undone_or_ended(
    config, look, folder, step, state, moves, deployed
):
    project.set_quality(folder, {**GOOD, "Overall": 0.95})
    dies(project.deploy_and_die, str(folder / "penstock.toml"), "f2", step)
    project.set_quality(folder, {**GOOD, "Overall": 0.96})
    deploy(deploying(config), wanted("f3"))
    assert [d.state for d in deployments(look)] == ["done", state, "done"]
    assert [move.to for move in look(registry.read_model, "flights").moves] == moves


@pytest.mark.parametrize("step", ["DECIDED", "MOVED", "SCHEDULED", "CONCLUDED"])
def test_a_rollback_that_was_killed_is_brought_to_its_end(config, look, folder, step, improved):
    dies(project.roll_back_and_die, str(folder / "penstock.toml"), step)
    project.set_quality(folder, {**GOOD, "Overall": 0.96})
    deploy(deploying(config), wanted("f3"))
    assert [(d.kind, d.state) for d in deployments(look)][2:] == [
        ("rollback", "done"),
        ("deploy", "done"),
    ]
    assert not journal.unfinished(look(journal.entries, "deploy/production/flights"))
    assert [move.to for move in look(registry.read_model, "flights").moves] == [1, 2, 1, 3]


def take_away(look, why="bad at night"):
    """Move the champion from version 2 to version 1, as somebody does by hand."""
    look(lambda store: registry.move_alias(store, "flights", "champion", 1, who="cyd", why=why))


def second_dies(folder, step):
    """Let the process of a second deployment die."""
    project.set_quality(folder, {**GOOD, "Overall": 0.95})
    dies(project.deploy_and_die, str(folder / "penstock.toml"), "f2", step)


def test_what_somebody_took_back_after_a_deployment_died_stays_taken_back(
    config, look, folder, deployed
):
    second_dies(folder, "MOVED")
    take_away(look)
    with pytest.raises(
        RefusedError,
        match="alias: it stood for version 2 already, and cyd has moved it to version 1 since",
    ):
        deploy(deploying(config), wanted("f2"))
    assert champion(look) == 1


def test_that_a_dead_deployment_is_refused_does_not_refuse_the_next(config, look, folder, deployed):
    second_dies(folder, "MOVED")
    take_away(look)
    project.set_quality(folder, {**GOOD, "Overall": 0.96})
    told = []
    assert deploy(deploying(config, tell=told.append), wanted("f3")).state == "done"
    assert [d.state for d in deployments(look)] == ["done", "refused", "done"]
    assert "deployment 2 is refused: alias: it stood for version 2 already" in "\n".join(told)


def test_a_model_that_is_altered_after_its_gates_were_decided_holds_up_nothing(
    config, look, folder, deployed
):
    second_dies(folder, "DECIDED")
    for file in folder.glob(".penstock/**/Train/model/*/Format-Serving/model.json"):
        if "0.95" in file.read_text():
            file.write_text("{}")
    project.set_quality(folder, {**GOOD, "Overall": 0.96})
    assert deploy(deploying(config), wanted("f3")).state == "done"
    assert [d.state for d in deployments(look)] == ["done", "refused", "done"]
    assert "files of the model are not those that its run made" in deployments(look)[1].reason


def test_a_rollback_that_cannot_be_brought_to_its_end_holds_up_nothing(
    config, look, folder, improved
):
    dies(project.roll_back_and_die, str(folder / "penstock.toml"), "DECIDED")
    version = look(registry.read_model, "flights").version(1)
    Path(version.uri, "Format-Serving", "model.json").write_text("{}")
    assert deploy(deploying(config), wanted("f2")).number == 2
    assert [(d.kind, d.state) for d in deployments(look)][2:] == [("rollback", "failed")]
    assert champion(look) == 2


def test_code_that_is_changed_while_it_is_deployed_is_refused(config, look):
    code = ["f1"]

    def change(step):
        if step is DeployStep.STARTED:
            code.append("f2")

    changing = deploying(config, on_step=change, fingerprint_now=lambda _: code[-1])
    with pytest.raises(RefusedError, match="code: it was changed .* it was f1, and is f2"):
        deploy(changing, wanted("f1"))
    assert not look(registry.model_names)


def test_an_alias_that_was_moved_by_hand_is_told_and_left(config, look, improved):
    take_away(look)
    told = []
    assert deploy(deploying(config, tell=told.append), wanted("f2")).number == 2
    assert told[0] == "champion of flights is flights@1, as cyd has moved it, and not 2"
    assert champion(look) == 1


def test_a_change_that_is_declared_after_a_death_is_a_deployment_of_its_own(config, look, folder):
    dies(project.deploy_and_die, str(folder / "penstock.toml"), "f1", "STARTED")
    deploy(deploying(config), wanted("f1", signature_change="by airport now"))
    assert [d.state for d in deployments(look)] == ["undone", "done"]
