"""Deployments: promoted, refused, taken back, and gone on with wherever one was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from penstock import registry
from penstock.errors import ConfigError, ParameterError, RegistryError, RunError
from penstock.metadata import journal
from penstock.metadata.leases import held
from penstock.metadata.store import connect
from penstock.metadata.turns import Held
from penstock.operations.delivery import records
from penstock.operations.delivery.deploying import deploy, environment_of, roll_back
from penstock.operations.delivery.deployment import DeployStep, RefusedError, token_of
from penstock.project.config import read_config
from penstock_support import delivered_project as project
from penstock_support.delivered_project import GOOD, champion, deploying, deployments, wanted

pytestmark = pytest.mark.core


def test_a_pipeline_whose_gates_hold_is_promoted(config, look):
    done = deploy(deploying(config), wanted())
    assert (done.state, done.model_version) == ("done", 1)
    assert look(registry.resolve, "flights", "champion").run_id == done.run_id


def test_what_deploys_within_the_pipeline_is_left_out(config, folder, monkeypatch):
    monkeypatch.chdir(folder)
    deploy(deploying(config), wanted())
    assert not Path("pushed").exists()


def test_the_move_of_the_alias_has_the_gates_as_its_evidence(config, look, deployed):
    move = look(registry.read_model, "flights").last_move("champion")
    assert (move.who, move.why, move.kind) == ("ann", "because", "promote")
    assert move.evidence["fingerprint"] == "f1"
    assert {gate["name"] for gate in move.evidence["gates"]} >= {"blessing", "auc"}


def test_what_is_there_already_is_left(config, look):
    first = deploy(deploying(config), wanted())
    assert deploy(deploying(config), wanted()).number == first.number
    assert len(deployments(look)) == 1


def test_a_change_that_ruins_the_model_is_stopped_and_the_old_one_still_serves(
    config, look, folder, deployed
):
    project.set_quality(folder, dict.fromkeys(GOOD, 0.7))
    with pytest.raises(
        RefusedError,
        match=r"flights is not deployed to production: auc beside flights@1: 0.7, it has 0.9; noise"
        r" 0.01414; .* What serves is as it was\.",
    ):
        deploy(deploying(config), wanted("f2"))
    assert champion(look) == 1
    assert [d.state for d in deployments(look)] == ["done", "refused"]


def test_a_change_that_breaks_one_slice_alone_is_stopped_too(config, look, folder, deployed):
    project.set_quality(folder, {**GOOD, "Overall": 0.91, "LGA": 0.7})
    with pytest.raises(RefusedError, match=r"by slice: airport:LGA 0.88 -> 0.7"):
        deploy(deploying(config), wanted("f2"))
    assert champion(look) == 1


def test_a_run_that_fails_is_a_refusal(config, look, folder):
    (folder / "quality.py").write_text("SLICES = 5\n")
    with pytest.raises(RefusedError, match=r"run: run [\w-]+ failed: Train: "):
        deploy(deploying(config), wanted())
    with pytest.raises(RegistryError):
        champion(look)


def test_a_canary_that_fails_comes_before_all_else(tmp_path):
    config = project.write(tmp_path, "[environments.production.canary.flights]\nrows = -1\n")
    with pytest.raises(RefusedError, match="canary: run .* failed: Train: ") as error:
        deploy(deploying(config), wanted())
    assert error.value.deployment.run_id == ""


def test_what_cannot_be_run_at_all_has_failed(tmp_path):
    config = project.write(tmp_path, '[environments.production.canary.flights]\nrows = "many"\n')
    with pytest.raises(ParameterError, match="parameter 'rows': expected int, got 'many'"):
        deploy(deploying(config), wanted())
    with connect(deploying(config).connection) as metadata:
        [record] = records.deployments(metadata.store, "production", "flights")
    assert (record.state, "expected int" in record.reason) == ("failed", True)


def test_a_canary_runs_with_its_own_parameters(tmp_path):
    config = project.write(tmp_path, "[environments.production.canary.flights]\nrows = 3\n")
    done = deploy(deploying(config), wanted())
    with connect(deploying(config).connection) as metadata:
        from penstock.metadata.runs import find_run

        [entry] = journal.entries(metadata.store, "deploy/production/flights")
        canary = find_run(metadata.store, token_of(entry, "canary"))
        run = find_run(metadata.store, done.run_id)
    assert (canary.parameters["rows"], run.parameters["rows"]) == (3, 100)


def test_checks_are_asked_for_by_fingerprint(tmp_path):
    config = project.write(tmp_path)
    text = (tmp_path / "penstock.toml").read_text()
    (tmp_path / "penstock.toml").write_text(text.replace("checks = false", "checks = true"))
    config = read_config(tmp_path / "penstock.toml")
    with pytest.raises(RefusedError, match=r"checks: no record .*penstock ci check flights says"):
        deploy(deploying(config), wanted())
    assert deploy(deploying(config), wanted(checks=())).state == "done"


def test_what_needs_an_approval_waits_for_one_of_its_fingerprint(tmp_path):
    config = project.write(
        tmp_path,
        "[environments.careful]\nalias = 'careful'\napproval = true\n"
        "checks = false\ninfra = false\n",
    )
    careful = deploying(config, "careful")
    with pytest.raises(RefusedError, match=r"Approve of it: penstock ci approve --env careful fl"):
        deploy(careful, wanted("f1"))
    with connect(careful.connection) as metadata:
        records.approve(
            metadata.store, "careful", "flights", "f1", commit="c1", who="bob", why="fine"
        )
    with pytest.raises(RefusedError, match="nobody has approved this fingerprint"):
        deploy(careful, wanted("f2"))
    assert deploy(careful, wanted("f1")).state == "done"


def test_what_was_not_in_staging_does_not_come_to_production(tmp_path):
    config = project.write(tmp_path)
    text = (tmp_path / "penstock.toml").read_text()
    (tmp_path / "penstock.toml").write_text(
        text.replace("[environments.production]", '[environments.production]\nneeds = ["staging"]')
    )
    config = read_config(tmp_path / "penstock.toml")
    with pytest.raises(RefusedError, match=r"Deploy it there first: penstock ci deploy --env stag"):
        deploy(deploying(config), wanted())
    deploy(deploying(config, "staging"), wanted())
    assert deploy(deploying(config), wanted()).state == "done"


def test_two_environments_with_one_store_have_two_aliases(tmp_path):
    config = project.write(tmp_path, "[environments.other]\nchecks = false\n")
    with pytest.raises(ConfigError, match="have one store and one alias, champion"):
        environment_of(config, "other")


def test_a_rollback_brings_back_what_was_before(config, look, improved):
    first, _ = deployments(look)
    done = roll_back(deploying(config), "flights", who="bob", why="wrong")
    assert (done.kind, done.model_version, done.fingerprint) == ("rollback", 1, "f1")
    assert champion(look) == 1
    assert records.deployed(deployments(look)).number == first.number


def test_after_a_rollback_the_same_change_can_come_again(config, look, improved):
    roll_back(deploying(config), "flights", who="bob", why="wrong")
    assert deploy(deploying(config), wanted("f2")).state == "done"
    assert champion(look) == 2


def test_there_is_nothing_before_the_first(config, deployed):
    with pytest.raises(RunError, match="production had no other deployment of flights before"):
        roll_back(deploying(config), "flights", who="bob", why="wrong")


def test_a_rollback_to_an_altered_model_is_refused_and_nothing_changes(config, look, improved):
    version = look(registry.read_model, "flights").version(1)
    Path(version.uri, "Format-Serving", "model.json").write_text("{}")
    with pytest.raises(RegistryError, match="flights@1 may not be served"):
        roll_back(deploying(config), "flights", who="bob", why="wrong")
    assert champion(look) == 2
    assert len(deployments(look)) == 2


def test_an_alias_that_somebody_moved_meanwhile_is_not_taken_away(config, look, folder, deployed):
    project.set_quality(folder, {**GOOD, "Overall": 0.95})

    def move(step):
        if step is DeployStep.DECIDED:
            look(lambda store: registry.remove_alias(store, "flights", "champion", who="cyd"))

    with pytest.raises(RefusedError, match="version 1, and cyd has moved it away"):
        deploy(deploying(config, on_step=move), wanted("f2"))


def test_two_do_not_deploy_at_once(config):
    connection = deploying(config).connection
    with (
        connect(connection) as metadata,
        held(metadata.store, connection, "deployment of flights to production"),
        pytest.raises(Held, match="deployment of flights to production is being run by process"),
    ):
        deploy(deploying(config), wanted())


def test_a_reference_that_nobody_ever_gives_holds_no_gate(config, folder, deployed):
    toml = folder / "penstock.toml"
    toml.write_text(toml.read_text().replace('than = "champion"', 'than = "chmapion"'))
    with pytest.raises(RefusedError, match="auc: it has no alias chmapion, and no environment giv"):
        deploy(deploying(read_config(toml)), wanted("f2"))


def test_a_model_whose_files_are_gone_is_deployed_anew(config, look, deployed):
    shutil.rmtree(look(registry.resolve, "flights", "champion").uri)
    told = []
    assert deploy(deploying(config, tell=told.append), wanted("f1")).number == 2
    assert look(registry.resolve, "flights", "champion").number == 2
    assert told[0].startswith("production has flights f1 already, but ")


def test_of_several_models_the_environment_says_whose_is_deployed(config, look, folder):
    code = (folder / "pipeline.py").read_text()
    two = code.replace(
        "    judge = Judge", '    other = Train(rows=1).with_id("Other")\n    judge = Judge'
    )
    (folder / "pipeline.py").write_text(two.replace("[judge, push]", "[judge, push, other]"))
    with pytest.raises(RefusedError, match="has made 2 models: by .* or model_nodes of the env"):
        deploy(deploying(config), wanted("f1"))
    toml = folder / "penstock.toml"
    toml.write_text(
        f'{toml.read_text()}\n[environments.production.model_nodes]\nflights = "Train"\n'
    )
    assert deploy(deploying(read_config(toml)), wanted("f2")).state == "done"
    assert look(registry.resolve, "flights", "champion").facts["node_id"] == "Train"
