"""Checking the pipelines of a project: for real, on samples of its data."""

from __future__ import annotations

import json

import pytest

from penstock.errors import ConfigError, RunError
from penstock.operations.delivery.checking import Checked, Wishes, check_project
from penstock.operations.delivery.checks import Check, State, read_checks
from penstock.operations.delivery.planning import fingerprint_of
from penstock.project.config import read_config
from penstock.safety import locks
from penstock_support.git_projects import GitProject, learning_project


@pytest.fixture
def project(folder) -> GitProject:
    return learning_project(folder / "repository")


@pytest.fixture
def checked(project, states) -> Checked:
    """Have the project be checked, and return what came of it."""
    return states.bring_to("checked", lambda: check(project, rows=10))


def check(project: GitProject, **wishes) -> Checked:
    config = read_config(project.folder / "penstock.toml")
    return check_project(config, Wishes(**{"tests": False, **wishes}), lambda _: None)


def of(checked: Checked, name: str) -> Check:
    [found] = [check for check in checked.checks if check.name == name]
    return found


def test_a_pipeline_runs_on_a_sample_and_pushes_nothing(project, checked):
    run = of(checked, "sampled run")
    assert (run.state, run.message) == (State.PASSED, "3 nodes on 10 rows for CsvExampleGen")
    assert not (project.folder / "serving").exists()


def test_only_the_folder_for_checks_is_written_and_git_does_not_see_it(project):
    project.write(".gitignore", "__pycache__/\n")
    project.commit()
    check(project, rows=10)
    assert project.git("status", "--porcelain", "--untracked-files=all") == ""
    assert [path.name for path in (project.folder / ".penstock").iterdir()] == ["ci"]


def test_the_rows_are_chosen_once_and_kept(project, checked):
    sample = project.folder / ".penstock/ci/samples/ages/CsvExampleGen/data/one.csv"
    kept = sample.read_text()
    project.write("data/one.csv", "Age,Name\n1,a\n")
    check(project, rows=10)
    assert sample.read_text() == kept
    again = check(project, rows=10, anew=True)
    assert sample.read_text() == "Age,Name\n1,a\n"
    assert of(again, "sampled run").message == "3 nodes on 1 row for CsvExampleGen (all)"


def test_a_node_that_fails_on_the_sample_fails_the_check_with_its_log(project):
    project.change("learning.py", "if not rows:", "if rows:")
    run = of(check(project, rows=10), "sampled run")
    assert run.state is State.FAILED
    assert run.message.startswith("Learn failed on 10 rows for CsvExampleGen: ")
    assert "there is nothing to learn from" in run.message
    assert run.where.endswith(".log")


def test_a_model_that_is_not_blessed_on_a_part_of_the_rows_is_a_warning(project):
    project.change("ages.py", "at_least: int = 1", "at_least: int = 20")
    run = of(check(project, rows=10), "sampled run")
    assert run.state is State.WARNED
    assert run.message == "not blessed on 10 rows for CsvExampleGen: only 10 rows"


def test_a_model_that_is_not_blessed_on_all_rows_fails(project):
    project.change("ages.py", "at_least: int = 1", "at_least: int = 50")
    checked = check(project, rows=1000)
    assert of(checked, "sampled run").state is State.FAILED
    assert not checked.passed


def test_what_another_node_makes_is_made_first_and_a_sample_is_of_that(project):
    project.change(
        "learning.py", "from penstock.artifacts import", "from penstock.artifacts import Tables,"
    )
    project.change(
        "learning.py",
        "@component",
        "@component\ndef Make(tables: Output[Tables]) -> None:\n"
        "    rows = ''.join(f'{n}\\n' for n in range(100))\n"
        "    Path(tables.uri).mkdir(parents=True, exist_ok=True)\n"
        "    Path(tables.uri, 'a.csv').write_text('Age\\n' + rows)\n\n\n@component",
    )
    project.change("ages.py", "import Learn", "import Learn, Make")
    project.change("ages.py", "(input_base=data)", "(input_base=made)")
    project.change(
        "ages.py",
        "    examples = Csv",
        "    made = Make().outputs['tables'].future()[0].uri\n    examples = Csv",
    )
    project.change("ages.py", 'data: str = str(FOLDER / "data"), ', "")
    run = of(check(project, rows=10), "sampled run")
    assert (run.state, run.message) == (State.PASSED, "4 nodes on 10 rows for CsvExampleGen")


def test_a_pipeline_without_data_to_sample_runs_on_all_of_it(project):
    project.write("penstock.toml", '[pipelines]\nfour = "four.py:four"\n')
    project.write(
        "four.py",
        "from penstock import component, pipeline\n\n\n@component\ndef Four() -> int:\n"
        "    return 4\n\n\n@pipeline\ndef four():\n    return [Four()]\n",
    )
    run = of(check(project), "sampled run")
    assert (run.state, run.message) == (State.PASSED, "1 node on no data to take a sample of")


def test_the_profile_says_with_which_parameters_a_sample_is_run(project):
    project.change("ages.py", "at_least: int = 1", "at_least: int = 20")
    project.change(
        "penstock.toml", "[pipelines]", "[profiles.ci.parameters.ages]\nat_least = 2\n[pipelines]"
    )
    assert of(check(project, rows=10, profile="ci"), "sampled run").state is State.PASSED


def test_what_was_checked_is_on_record_for_the_fingerprint(project):
    check(project, rows=10, tests=True)
    fingerprint = fingerprint_of(read_config(project.folder / "penstock.toml"), "ages")
    record = read_checks(project.folder, fingerprint)
    assert record.passed
    assert record.commit == project.git("rev-parse", "HEAD").strip()
    project.change("learning.py", "rows >= at_least", "rows > at_least")
    changed = fingerprint_of(read_config(project.folder / "penstock.toml"), "ages")
    assert read_checks(project.folder, changed) is None


def test_checks_that_were_left_out_are_missing_for_who_deploys(project):
    [record] = check(project, sampled_runs=False).records
    assert not record.passed
    assert record.obstacles() == [
        "tests: they were left out, by --no-tests. It is missing.",
        "sampled run of ages: it was left out, by --no-run. It is missing.",
    ]


def test_a_pipeline_that_does_not_compile_fails_and_is_not_run(project):
    project.change("ages.py", "at_least=at_least)", "at_last=at_least)")
    checked = check(project)
    compiled = of(checked, "compile")
    assert compiled.state is State.FAILED
    assert "at_last" in compiled.message
    assert of(checked, "sampled run").message == "it does not come that far: see above"
    assert checked.records == ()


def test_what_is_as_in_the_base_is_not_run_again_and_keeps_its_record(project, checked):
    again = of(check(project, rows=10, base="main"), "sampled run")
    assert (again.state, again.message) == (State.PASSED, "3 nodes on 10 rows for CsvExampleGen")


def test_what_is_as_in_the_base_and_was_never_run_is_missing(project):
    run = of(check(project, rows=10, base="main"), "sampled run")
    assert (run.state, run.left_out) == (State.SKIPPED, True)
    assert run.message == "it is as in main, and has no sampled run on record here"


def test_the_projects_tests_are_run(project):
    project.write("tests/test_ages.py", "def test_that_fails():\n    assert 1 == 2\n")
    checked = check(project, tests=True, sampled_runs=False)
    tests = of(checked, "tests")
    assert tests.state is State.FAILED
    assert "1 failed" in tests.message
    project.write("tests/test_ages.py", "def test_that_passes():\n    assert True\n")
    assert of(check(project, tests=True, sampled_runs=False), "tests").message.startswith(
        "1 passed"
    )


def test_a_project_without_tests_is_told(project):
    tests = of(check(project, tests=True, sampled_runs=False), "tests")
    assert (tests.state, tests.message) == (State.SKIPPED, "the project has none")


def test_each_profile_is_compiled_and_those_of_kubeflow_for_it(project):
    project.change(
        "penstock.toml",
        "[pipelines]",
        '[profiles.cluster]\nmetadata = "grpc://metadata:8080"\npipeline_root = "s3://bucket/a"\n'
        '[profiles.cluster.kubeflow]\nhost = "http://localhost"\nimage = "registry/a:1"\n'
        '[profiles.bare.kubeflow]\nhost = "http://localhost"\n[pipelines]',
    )
    checked = check(project, sampled_runs=False)
    told = {(c.name, c.profile): c.state for c in checked.checks if c.profile}
    assert {profile for name, profile in told if name == "compile"} == {
        "bare",
        "cluster",
        "default",
    }
    assert told["compile for Kubeflow", "cluster"] in (State.PASSED, State.WARNED)
    assert told["compile for Kubeflow", "bare"] is State.SKIPPED


def test_two_checks_of_a_project_do_not_work_at_the_same_time(project):
    folder = project.folder / ".penstock/ci"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as file:
        assert locks.lock(file.fileno(), wait_seconds=0)
        with pytest.raises(RunError, match="another check of this project is under way"):
            check(project)


def test_an_unknown_pipeline_is_answered_with_the_nearest(project):
    with pytest.raises(ConfigError, match="there is no pipeline 'age'.*Did you mean 'ages'"):
        check(project, pipelines=("age",))


def test_a_project_that_changes_while_it_is_checked_leaves_no_record(project):
    project.write(
        "tests/test_ages.py",
        "from pathlib import Path\n\n\ndef test_that_writes():\n"
        "    path = Path('learning.py')\n"
        "    path.write_text(path.read_text().replace('>= at_least', '> at_least'))\n",
    )
    checked = check(project, tests=True, sampled_runs=False)
    assert checked.unrecorded == "the project has changed while it was checked: check it again"
    assert not (project.folder / ".penstock/ci/checks").exists()


def test_a_record_says_in_json_what_was_checked(project, checked):
    [record] = checked.records
    path = project.folder / f".penstock/ci/checks/{record.fingerprint}.json"
    told = json.loads(path.read_text())
    assert {check["name"] for check in told["checks"]} == {
        "compile",
        "contracts",
        "schema",
        "tests",
        "sampled run",
    }
