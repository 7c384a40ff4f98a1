"""penstock release and penstock rollback, at a folder that TensorFlow Serving would watch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from penstock.errors import ConfigError, ParameterError, RunError
from penstock.surfaces.cli.main import penstock as group
from penstock_support import releases as project
from penstock_support.releases import aliases, answers, evidence

TABLE = """
target = "filesystem"
filesystem = { folder = "served" }
evidence = { command = ["cat", "seen.json"] }
release = { canary = [50], bake_minutes = 0.01 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A project whose champion serves."""
    project.write(tmp_path, TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_USER", "ann")
    see(tmp_path)
    assert run("start", "m@champion").exit_code == 0
    return tmp_path


def see(folder: Path, **changes: int) -> None:
    told = evidence(answers(**changes)).to_json()
    told.pop("token")
    (folder / "seen.json").write_text(json.dumps(told))


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(group, ["release", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def labels(folder: Path) -> str:
    return (folder / "served" / "models.config").read_text().partition("\n")[2]


def test_the_first_version_of_a_folder_serves_at_once(folder):
    assert 'key: "stable"\n      value: 1' in labels(folder)


def test_a_release_by_the_stages_of_the_file_is_carried_out(folder):
    done = run("start", "m@challenger", "--every", "1s", "--why", "more rows")
    assert done.exit_code == 0, done.output
    assert "release 2 of m: m@2 by canary 50%" in done.output
    assert "1 serves, canary 2 50%  ann: the version is ready" in done.output
    assert "m@2  promoted  ann: more rows" in done.output
    assert aliases(folder)["champion"] == 2


def test_a_bad_version_ends_with_exit_code_1_and_the_reason(folder):
    see(folder, errors=4000)
    done = run("start", "m@challenger", "--every", "1s")
    assert done.exit_code == 1
    assert "alarm      errors: 20 % bad answers of 20000" in done.output
    assert "m@2  rolled back" in done.output
    assert aliases(folder)["champion"] == 1


def test_detached_it_is_recorded_and_the_next_watch_carries_it_out(folder):
    done = run("start", "m@2", "--canary", "5,25", "--bake", "1s", "--detach")
    assert "carry it out: penstock release watch m" in done.output
    assert json.loads(run("status", "m", "--json").stdout)["stages"] == ["canary 5%", "canary 25%"]
    assert run("watch", "m", "--every", "1s").exit_code == 0


def test_people_are_on_record_with_what_they_ask(folder):
    run("start", "m@2", "--detach")
    assert "pause of release 2 of m is recorded" in run("pause", "m", "--why", "lunch").output
    run("abort", "m", "--why", "wrong data")
    assert run("watch", "m", "--every", "1s").exit_code == 1
    told = json.loads(run("status", "m", "--json").stdout)
    assert (told["state"], told["reason"]) == ("aborted", "wrong data")
    asked = [(s["kind"], s["who"], s["why"]) for s in told["steps"][:2]]
    assert asked == [("pause", "ann", "lunch"), ("abort", "ann", "wrong data")]


def test_rollback_brings_back_what_served_and_history_tells(folder):
    run("start", "m@2", "--every", "1s")
    done = CliRunner().invoke(group, ["rollback", "m", "--why", "complaints"])
    assert done.exit_code == 0, done.output
    assert "release 3 of m: back to m@1" in done.output
    assert 'key: "stable"\n      value: 1' in labels(folder)
    history = run("history", "m").output
    assert history.index("rollback 3  m@1  brought back  ann: complaints") < history.index(
        "release 2  m@2  promoted"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("start", "m"), ParameterError, "expected NAME@NUMBER or NAME@ALIAS, got 'm'"),
        (("start", "x@2"), ConfigError, "nothing says where x serves"),
        (("start", "m@2", "--env", "production"), ConfigError, "m serves in production"),
        (("start", "m@2", "--shadow", "100%"), RunError, "filesystem knows no shadow"),
        (("start", "m@2", "--canary", "25,5"), ParameterError, "expected shares that grow"),
        (("start", "m@2", "--for", "1h"), ParameterError, "there is none: give --shadow"),
        (("start", "m@champion"), RunError, "m@1 is champion already, and serves"),
        (("pause", "m"), RunError, "no release of m is under way"),
    ],
)
def test_what_is_wrong_is_told(folder, arguments, error, message):
    with pytest.raises(error, match=message):
        run(*arguments)


def test_status_of_what_was_never_released_says_how_to_begin(tmp_path, monkeypatch):
    project.write(tmp_path, TABLE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="nothing was released at m yet"):
        run("status", "m")
    assert "nothing was released yet" in run("history").output


def test_another_version_than_the_champion_cannot_be_the_first(tmp_path, monkeypatch):
    project.write(tmp_path, TABLE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="release start m@champion"):
        run("start", "m@2")
