"""What differs between two descriptions of a project."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.operations.delivery.comparing import Files, Kind, compare
from penstock.operations.delivery.descriptions import (
    Foreseen,
    NodeDescription,
    PipelineDescription,
    ProjectDescription,
    downstream,
    fingerprint_of,
)
from penstock.operations.delivery.inputs import read_input

pytestmark = pytest.mark.core


def project(inputs=None, texts=None, images=None, foreseen=None, **nodes) -> ProjectDescription:
    described = {name: NodeDescription("Kind", **fields) for name, fields in nodes.items()}
    pipeline = PipelineDescription("p", nodes=described, foreseen=foreseen or {})
    return ProjectDescription({"p": pipeline}, inputs or {}, texts=texts or {}, images=images or {})


def reasons(before: ProjectDescription, after: ProjectDescription, files: Files = Files()):
    [pipeline] = compare(before, after, files)
    return [str(reason) for node in pipeline.nodes for reason in node.reasons]


def test_a_project_is_as_itself():
    described = project(A={}, B={"takes": ("A",)})
    assert [p.kind for p in compare(described, described, Files())] == [Kind.SAME]


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_a_difference_of_parameters_is_told_where_there_is_one(parameters):
    before, after = project(A={"parameters": {}}), project(A={"parameters": parameters})
    told = {name for name, value in parameters.items() if value is not None}
    assert bool(reasons(before, after)) == bool(told)


def test_fields_of_a_structured_parameter_are_told_one_by_one():
    before = project(A={"parameters": {"args": '{"steps": 1, "rate": 2}'}})
    after = project(A={"parameters": {"args": '{"steps": 3, "rate": 2}'}})
    assert reasons(before, after) == ["parameter args.steps 1 → 3"]


def test_a_parameter_of_another_type_is_another():
    before, after = project(A={"parameters": {"n": 1}}), project(A={"parameters": {"n": 1.0}})
    assert reasons(before, after) == ["parameter n 1 → 1.0"]


def test_wiring_is_told_by_the_inputs_key():
    before = project(A={"definition": {"inputs": {"model": ["B.model"]}}})
    after = project(A={"definition": {"inputs": {"model": ["C.model"]}}})
    assert reasons(before, after) == ['definition inputs.model[0] "B.model" → "C.model"']


def test_a_file_of_code_that_was_renamed_and_changed_is_told_as_git_knows_it():
    before, after = project(A={"code": {"a.py": "1"}}), project(A={"code": {"b.py": "2"}})
    assert reasons(before, after, Files(renames={"b.py": "a.py"})) == [
        "code a.py → b.py (renamed and changed)"
    ]
    assert reasons(before, after) == ["code b.py is used now", "code a.py is used no more"]


def test_a_cache_that_is_switched_off_makes_a_node_run_and_others_follow():
    before = project(A={}, B={"takes": ("A",)})
    after = project(A={"options": {"cache": "off"}}, B={"takes": ("A",)})
    [pipeline] = compare(before, after, Files())
    assert [node.kind for node in pipeline.nodes] == [Kind.CHANGED, Kind.FOLLOWS]


def test_a_plan_of_the_store_counts_more_than_what_follows():
    before = project(A={"code": {"a.py": "1"}}, B={"takes": ("A",)})
    foreseen = {"A": Foreseen("runs", seconds=2.0), "B": Foreseen("cached", seconds=3.0)}
    after = project(A={"code": {"a.py": "2"}}, B={"takes": ("A",)}, foreseen=foreseen)
    [pipeline] = compare(before, after, Files())
    assert [node.runs_again for node in pipeline.nodes] == [True, False]
    assert pipeline.seconds == 2.0


def test_downstream_names_what_a_node_follows_over_others():
    takes = {"A": (), "B": ("A",), "C": ("B",), "D": (), "E": ("D", "C")}
    assert downstream(takes, ["A"]) == {"B": ["A"], "C": ["A"], "E": ["A"]}


def test_a_package_that_comes_and_one_that_goes_are_told():
    before = project(inputs={"uv.lock": read_input("uv.lock", lock(numpy="1"))}, A={})
    after = project(inputs={"uv.lock": read_input("uv.lock", lock(scipy="2"))}, A={})
    [pipeline] = compare(before, after, Files())
    assert [str(reason).partition(" (")[0] for reason in pipeline.reasons] == [
        "lock uv.lock numpy: 1",
        "lock uv.lock scipy: not there → 2",
    ]


def test_other_files_of_the_same_version_are_a_change_of_a_lock():
    before = read_input("uv.lock", lock(numpy="1"))
    after = read_input("uv.lock", lock(numpy="1") + 'source = { git = "elsewhere" }\n')
    assert before != after


def lock(**versions: str) -> str:
    return "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
        for name, version in versions.items()
    )


def test_order_and_comments_of_requirements_do_not_count():
    one = read_input("requirements.txt", "numpy==1  # why\npandas>=2\n")
    other = read_input("requirements.txt", "# all\npandas >=2\nNumPy==1\n")
    assert one == other


def test_settings_of_other_tools_in_pyproject_do_not_count():
    one = read_input("pyproject.toml", '[project]\nname = "a"\n[tool.ruff]\nline-length = 80\n')
    assert one == read_input("pyproject.toml", '[project]\nname = "a"\n')


@given(st.text())
def test_any_text_can_be_read_as_any_input(text):
    for name in ("uv.lock", "Pipfile.lock", "pyproject.toml", "requirements.txt", "Dockerfile"):
        read_input(name, text)


def test_a_lock_that_is_broken_counts_line_by_line():
    assert read_input("uv.lock", "<<<<<<< HEAD\n").lines == ("<<<<<<< HEAD",)


def test_the_name_of_the_built_image_is_told_and_is_no_part_of_the_fingerprint():
    before, after = project(images={"image": "a"}, A={}), project(images={"image": "b"}, A={})
    [pipeline] = compare(before, after, Files())
    assert [str(reason) for reason in pipeline.reasons] == ["image penstock.toml image: a → b"]


def test_how_a_file_is_read_on_the_way_is_no_part_of_a_fingerprint():
    nodes = {"A": NodeDescription("Kind", folders=("data",), unseen=("x",))}
    assert fingerprint_of(nodes, {}, {}) == fingerprint_of({"A": NodeDescription("Kind")}, {}, {})
