from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from penstock.surfaces.cli.main import COMMANDS
from penstock_support import IMPORT_PATH


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project folder with a penstock.toml, in which two pipelines have run."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
        "from penstock_support import example_components as examples\n"
        "from penstock_support.example_components import training\n"
        "from penstock import pipeline\n"
        "@pipeline\n"
        "def failing():\n"
        '    """Fail."""\n'
        "    return examples.Fails()\n"
        "@pipeline\n"
        "def training_with_more(unused: int = 1):\n"
        "    return examples.MakeExamples()\n"
        "@pipeline\n"
        "def wanting():\n"
        "    from penstock import _tfx\n"
        "    from penstock.artifacts import Examples\n"
        "    latest = _tfx.Resolver(strategy_class=_tfx.LatestArtifactStrategy,\n"
        "                           examples=_tfx.types.Channel(type=Examples))\n"
        "    return [examples.TrainModel(examples=latest.outputs['examples'])]\n"
    )
    (folder / "penstock.toml").write_text(
        '[pipelines]\ntraining = "mine.py:training"\nfailing = "mine.py:failing"\n'
        'training_with_more = "mine.py:training_with_more"\nwanting = "mine.py:wanting"\n'
        "[profiles.default.parameters.training]\nrows = 8\nsteps = 2\n"
        '[profiles.other]\npipeline_root = "elsewhere"\n'
    )
    return folder


@pytest.fixture(scope="module")
def penstock(project):
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.fixture(scope="module")
def ran(penstock):
    return penstock("run", "training", "-p", "steps=4")


@pytest.fixture(scope="module")
def failed(penstock):
    return penstock("run", "failing")


@pytest.fixture(scope="module")
def shown(penstock, ran):
    return json.loads(penstock("show", "latest", "--json").stdout)


def test_a_run_that_succeeds_exits_with_0_and_says_where_to_look_next(ran):
    assert ran.returncode == 0, ran.stderr
    assert "next       penstock show" in ran.stdout


def test_progress_goes_to_standard_error_a_line_a_change(ran):
    assert "TrainModel    done" in ran.stderr


def test_the_command_line_beats_the_profile_and_the_profile_the_default(shown):
    assert shown["parameters"] == {"rows": 8, "steps": 4, "rate": 0.25, "verbose": False}


def test_show_has_every_node_with_inputs_and_outputs(shown):
    nodes = {node["node_id"]: node for node in shown["nodes"]}
    assert nodes["TrainModel"]["state"] == "done"
    assert nodes["TrainModel"]["inputs"]["examples"] == nodes["MakeExamples"]["outputs"]["examples"]


def test_show_has_what_the_work_took(shown):
    assert set(shown["nodes"][0]["measured"]) >= {
        "cpu_seconds",
        "wall_seconds",
        "peak_memory_bytes",
    }


def test_a_run_that_fails_exits_with_1_and_shows_the_end_of_the_log(failed):
    assert failed.returncode == 1
    assert "Fails failed: ValueError: no such luck" in failed.stderr
    assert "something to read in the log" in failed.stderr


def test_runs_lists_them_newest_first(penstock, ran, failed):
    listed = json.loads(penstock("runs", "--json").stdout)
    assert [(run["pipeline_name"], run["state"]) for run in listed] == [
        ("failing", "failed"),
        ("training", "done"),
    ]


def test_list_has_the_pipelines_with_their_parameters(penstock):
    listed = {entry["name"]: entry for entry in json.loads(penstock("list", "--json").stdout)}
    assert listed["training"]["parameters"]["steps"] == 7
    assert listed["failing"]["description"] == "Fail."


def test_compile_writes_the_ir(penstock, project):
    assert penstock("compile", "training", "-o", "ir.json").returncode == 0
    assert json.loads((project / "ir.json").read_text())["pipeline_info"]["id"] == "training"


def test_logs_shows_what_a_node_has_printed(penstock, failed):
    shown = penstock("logs", "latest", "Fails")
    assert "something to read in the log" in shown.stdout
    assert penstock("logs", "latest", "Fails", "--follow").stdout == shown.stdout


def test_logs_without_a_node_lists_those_that_have_one(penstock, failed):
    assert penstock("logs", "latest").stdout.startswith("Fails  failed  ")


def test_logs_of_a_node_that_the_run_has_not_names_the_nearest(penstock, failed):
    answered = penstock("logs", "latest", "Fail")
    assert answered.returncode == 2
    assert "has no node 'Fail'. Did you mean 'Fails'?" in answered.stderr


def test_another_profile_keeps_its_things_elsewhere(penstock, project):
    assert penstock("run", "training", "--profile", "other").returncode == 0
    assert (project / "elsewhere" / "training" / "TrainModel" / "model").is_dir()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "trainin"), "there is no pipeline 'trainin'"),
        (("run", "training", "-p", "step=1"), "no parameter 'step'. Did you mean 'steps'?"),
        (("run", "training", "-p", "steps=many"), "'steps': expected int, got 'many'"),
        (("run", "training", "-p", "steps"), "expected NAME=VALUE after -p"),
        (("run", "training", "--profile", "othr"), "no profile 'othr'"),
        (("show", "no-such-run"), "there is no run 'no-such-run'"),
        (("shw",), "There is no command 'shw'. Did you mean 'show'?"),
        (("--config", "nowhere.toml", "list"), "there is no file nowhere.toml"),
    ],
)
def test_a_wrong_request_exits_with_2_and_one_clear_line(penstock, ran, arguments, text):
    done = penstock(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_the_store_is_named_when_there_is_none(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", "runs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "It is made by the first run: penstock run PIPELINE." in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    from click.testing import CliRunner

    from penstock.surfaces.cli.main import penstock as group

    shown = CliRunner().invoke(group, [command, "--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert f"penstock {command}" in shown.output.partition("Example")[2]


def test_a_parameter_that_no_node_uses_is_told_as_such(penstock):
    answered = penstock("plan", "training_with_more", "-p", "unused=1")
    assert answered.returncode == 2
    assert (
        "declares the parameter 'unused', but no node uses it: it would change nothing"
        in answered.stderr
    )


def test_a_plan_with_a_node_that_would_fail_exits_with_1(penstock, project):
    answered = penstock("plan", "wanting")
    assert answered.returncode == 1, answered.stderr
    assert "1 that would fail" in answered.stdout


def test_the_latest_run_is_found_in_spite_of_a_slip(penstock, ran):
    answered = penstock("show", "lastest")
    assert answered.returncode == 2
    assert "there is no run 'lastest'. Did you mean 'latest'?" in answered.stderr


def test_a_reader_who_has_seen_enough_is_no_failure(project):
    flights = "penstock.pipelines.flights.pipeline:flights"
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -W ignore -m penstock compile {flights} | head -c 10 > /dev/null; "
            "echo ${PIPESTATUS[0]}",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_show_says_what_time_was_no_node_s(penstock):
    penstock("run", "training", "--no-cache")
    shown = penstock("show", "latest").stdout
    assert re.search(
        r"beside its nodes: definition \d+\.\d s, libraries .*, bookkeeping .*, report", shown
    )
