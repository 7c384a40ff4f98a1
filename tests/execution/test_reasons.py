"""What a plan says of a node: which verdict, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.artifacts import Examples, PushedModel
from penstock.execution.contents import damage, record
from penstock.execution.differences import input_differences, parameter_differences
from penstock_support.changing_project import Project, change
from penstock_support.sessions import Sessions


class Planned:
    """A project that has run once, plans of it, and what its nodes have made."""

    def __init__(self, folder: Path, sessions: Sessions) -> None:
        self.project, self.sessions = Project(folder), sessions
        self.project.write()
        self.project.write_data()
        self.first = self.plan()
        self.made = sessions.ask("run", pipeline="lines", parameters={})

    def plan(self, parameters: dict[str, object] | None = None, **options: object) -> dict:
        return self.sessions.ask("plan", pipeline="lines", parameters=parameters or {}, **options)

    @contextmanager
    def edited(self, **values: object) -> Iterator[None]:
        before = dict(self.project.values)
        self.project.values.update(values)
        self.project.write()
        yield
        self.project.values = before
        self.project.write()


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reasons")
    sessions = Sessions(folder)
    yield Planned(folder, sessions)
    sessions.close()


def test_what_never_ran_says_so(planned):
    assert planned.first["Read"] == ["RUNS", ["it has not run yet"]]


def test_what_comes_after_names_what_runs_before_it(planned):
    assert planned.first["Train"] == ["RUNS", ["it has not run yet", "Count, Read run before it"]]


def test_a_condition_that_needs_what_is_not_made_yet_says_after_whom_it_is_known(planned):
    assert planned.first["Publish"] == ["DEPENDS", ["its condition is known after Count, Train"]]


def test_what_comes_after_a_condition_that_is_not_known_may_not_run(planned):
    assert planned.first["Announce"] == ["DEPENDS", ["Publish may not run"]]


def test_an_input_that_was_not_there_is_named_with_its_source(planned):
    reason = "input previous from previous: there was none, now there is one"
    assert planned.plan()["Compare"] == ["RUNS", [reason]]


@pytest.mark.parametrize(
    ("name", "value", "node", "reason"),
    [
        ("joined", "-", "Read", "code: first_steps.py changed"),
        ("suffix", "?", "Count", "code: texts.py changed"),
        ("word", "v", "Train", "code: words.py changed"),
        ("said", "shouted", "Announce", "code: announcing.py changed"),
        ("factor", 3, "Count", "parameter factor: 1 → 3"),
        ("names", "m", "Train", 'parameter options.names: "n" → "m"'),
        ("count_cache", False, "Count", "its cache is off"),
    ],
)
def test_what_changed_is_named(planned, name, value, node, reason):
    with planned.edited(**{name: value}):
        assert planned.plan()[node] == ["RUNS", [reason]]


def test_a_module_file_that_takes_the_place_of_another_is_named(planned):
    with planned.edited(module_file="other_words.py"):
        assert planned.plan()["Train"] == [
            "RUNS",
            [
                "code: other_words.py is used now",
                "code: words.py is used no more",
                'parameter module_file: "words.py" → "other_words.py"',
            ],
        ]


def test_of_a_structured_parameter_the_field_is_named(planned):
    assert planned.plan({"steps": 7})["Train"] == ["RUNS", ["parameter options.steps: 5 → 7"]]


def test_a_node_after_one_that_runs_depends_on_it(planned):
    with planned.edited(suffix="?"):
        assert planned.plan()["Train"] == ["DEPENDS", ["Count runs before it"]]


def test_a_run_without_cache_says_so(planned):
    planned_nodes = planned.plan(cache=False)
    assert planned_nodes["Read"] == ["RUNS", ["its cache is off"]]


def test_a_condition_that_does_not_hold_says_so(planned):
    with planned.edited(threshold=1000):
        made = planned.plan()
    assert made["Publish"] == ["SKIPPED", ["its condition does not hold"]]
    assert made["Announce"] == ["SKIPPED", ["Publish did not run"]]


def test_a_condition_that_is_decided_counts_though_other_inputs_are_not_made_yet(planned):
    with planned.edited(threshold=1000, word="v"):
        assert planned.plan()["Publish"] == ["SKIPPED", ["its condition does not hold"]]


def test_a_left_out_node_says_so(planned):
    made = planned.plan(only=["Count"])
    assert made["Read"][0] == "REUSED"
    assert made["Train"] == ["SKIPPED", ["it was not asked for"]]


def test_a_module_file_that_is_not_python_would_fail(planned):
    with planned.edited(not_python="def = 1"):
        made = planned.plan()
    assert made["Train"][0] == "FAILS"
    assert "the module is not Python: SyntaxError" in made["Train"][1][0]
    assert made["Publish"] == ["SKIPPED", ["Train failed"]]


def test_an_error_in_a_resolve_function_shows_its_line(planned):
    planned.project.data, data = {}, planned.project.data
    planned.project.write_data()
    made = planned.plan()
    planned.project.data = data
    planned.project.write_data()
    assert made["Read"][0] == "FAILS"
    assert "ValueError: the folder is empty" in made["Read"][1][0]
    assert "first_steps.py:" in made["Read"][1][0]


def test_an_output_that_was_edited_or_removed_is_named(planned):
    [uri] = planned.made["Publish"]["outputs"]["pushed"]
    change(uri, "alter")
    assert planned.plan()["Publish"] == ["RUNS", [f"{uri} was changed"]]
    change(uri, "remove")
    assert planned.plan()["Publish"] == ["RUNS", [f"{uri} is gone"]]


def test_plans_write_nothing(planned, tmp_path_factory):
    store = planned.project.folder / "root" / "metadata.sqlite"
    before = (store.read_bytes(), sorted(planned.project.folder.rglob("*")))
    planned.plan()
    assert (store.read_bytes(), sorted(planned.project.folder.rglob("*"))) == before


def test_a_destination_that_is_gone_is_named(tmp_path):
    model = PushedModel()
    model.uri = str(tmp_path / "pushed")
    (tmp_path / "pushed").mkdir()
    model.set_string_custom_property("pushed_destination", str(tmp_path / "serving" / "7"))
    model.mlmd_artifact.state = model.mlmd_artifact.LIVE
    assert damage(model) == f"what was pushed to {tmp_path}/serving/7 is gone"


def test_the_input_files_of_an_example_gen_are_told_by_their_folder():
    now = {"input_base": "data", "input_fingerprint": "files:3,bytes:20,sha256:a"}
    then = {"input_base": "data", "input_fingerprint": "files:2,bytes:20,sha256:b"}
    expected = ["the contents of data changed: 2 → 3 files"]
    assert list(parameter_differences(now, then)) == expected


def test_a_fingerprint_is_told_by_the_file_that_it_is_of():
    now = {"schema_file": "flights.pbtxt", "schema_fingerprint": "sha256:a"}
    then = {"schema_file": "flights.pbtxt", "schema_fingerprint": "sha256:b"}
    assert list(parameter_differences(now, then)) == ["the contents of flights.pbtxt changed"]


@pytest.mark.parametrize(("now", "then"), [(True, 1), (True, "true"), (False, "false"), (2, "2")])
def test_a_value_is_the_same_in_whatever_form_a_store_gives_it_back(now, then):
    assert list(parameter_differences({"a": now}, {"a": then})) == []


def test_long_values_are_cut():
    [reason] = parameter_differences({"a": "x" * 500}, {"a": "y"})
    assert reason == f'parameter a: "y" → "{"x" * 58}…'


def examples(folder: Path, span: int, text: str) -> Examples:
    made = Examples()
    made.uri, made.span = str(folder), span
    folder.mkdir()
    (folder / "data").write_text(text)
    made.mlmd_artifact.state = made.mlmd_artifact.LIVE
    record(made.mlmd_artifact)
    return made


def test_of_examples_the_span_is_told(tmp_path):
    now, then = examples(tmp_path / "4", 4, "more"), examples(tmp_path / "3", 3, "less")
    assert list(input_differences("examples", [now], [then], {"CsvExampleGen"})) == [
        "input examples from CsvExampleGen: span 3 → 4, other contents"
    ]


def test_an_input_that_was_changed_where_it_is_says_so(tmp_path):
    made = examples(tmp_path / "3", 3, "less")
    Path(made.uri, "data").write_text("altered")
    assert list(input_differences("examples", [made], [made], set())) == [
        f"input examples: {tmp_path}/3 was changed"
    ]


def test_what_a_resolve_function_tells_of_a_secret_is_redacted(tmp_path, monkeypatch, capsys):
    from penstock import LocalRunner, pipeline
    from penstock_support.telling_resolvers import LogIn

    @pipeline
    def logging_in():
        return LogIn(token="${env:PLANNED_SECRET}")

    monkeypatch.setenv("PLANNED_SECRET", "hunter22hunter22")
    runner = LocalRunner(pipeline_root=str(tmp_path), metadata=str(tmp_path / "m.sqlite"))
    [node] = runner.plan(logging_in)
    assert "ValueError: cannot log in with ${env:PLANNED_SECRET}" in node.reasons[0]
    assert capsys.readouterr().out == ""
