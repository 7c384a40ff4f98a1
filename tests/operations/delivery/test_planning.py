"""What a change in a git repository does to its pipelines, both sides' code compiled for real."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from penstock.errors import ConfigError
from penstock.operations.delivery import repository
from penstock.operations.delivery.comparing import Kind, ProjectChange
from penstock.operations.delivery.planning import fingerprint_of, plan_change
from penstock.project.config import read_config
from penstock_support.git_projects import GitProject, git, git_project

pytestmark = pytest.mark.core


@pytest.fixture
def project(tmp_path) -> GitProject:
    return git_project(tmp_path / "repository")


def plan(project: GitProject, base: str = "main") -> ProjectChange:
    return plan_change(read_config(project.folder / "penstock.toml"), base)


def kinds(change: ProjectChange, pipeline: str = "lines") -> dict[str, str]:
    """The nodes of a pipeline that are not as before, and what they are."""
    [found] = [p for p in change.pipelines if p.name == pipeline]
    return {n.node_id: n.kind.value for n in found.nodes if n.kind is not Kind.SAME}


def reasons(change: ProjectChange, node: str, pipeline: str = "lines") -> list[str]:
    [found] = [p for p in change.pipelines if p.name == pipeline]
    [wanted] = [n for n in found.nodes if n.node_id == node]
    return [str(reason) for reason in wanted.reasons]


def test_one_line_of_preprocessing_changes_and_the_plan_names_exactly_the_nodes_that_follow(
    project,
):
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    change = plan(project)
    assert kinds(change) == {"Prepare": "changed", "Fit": "follows", "Judge": "follows"}
    assert reasons(change, "Prepare") == ["code preprocessing.py changed"]
    assert [p.kind for p in change.pipelines] == [Kind.SAME, Kind.CHANGED]


def test_a_comment_changes_nothing(project):
    project.change("preprocessing.py", "def prepared", "# by one\ndef prepared")
    assert not plan(project).changes


def test_a_default_of_a_pipeline_parameter_is_told_from_what_to_what(project):
    project.change("pipeline.py", "steps: int = 5", "steps: int = 7")
    change = plan(project)
    assert kinds(change) == {"Fit": "changed", "Judge": "follows"}
    assert reasons(change, "Fit") == ["parameter steps 5 → 7"]


def test_a_parameter_of_the_profile_counts_in_the_nodes(project):
    project.write(
        "penstock.toml",
        '[pipelines]\nlines = "pipeline.py:lines"\ncounts = "counts.py:counts"\n'
        "[profiles.default.parameters.lines]\nsteps = 9\n",
    )
    assert reasons(plan(project), "Fit") == ["parameter steps 5 → 9"]


def test_a_line_of_a_schema_is_told_with_its_feature(project):
    project.change("schema.pbtxt", "0.9", "0.8")
    assert reasons(plan(project), "ImportSchemaGen") == [
        "file schema.pbtxt:4: presence { min_fraction: 0.9 } → presence { min_fraction: 0.8 } "
        '(feature "Age")'
    ]


def test_a_data_file_in_git_is_told_of_the_node_that_reads_its_folder(project):
    project.write("data/two.csv", "Age\n3\n")
    change = plan(project)
    assert reasons(change, "Load") == ["data data/two.csv changed"]
    assert kinds(change)["Count"] == "follows"


def test_a_package_in_a_lock_is_told_of_the_nodes_whose_code_imports_it(project):
    project.change("preprocessing.py", "def", "import pandas\n\n\ndef")
    base = project.commit()
    project.change("requirements.txt", "pandas==2.1.0", "pandas==2.2.0")
    change = plan(project, base)
    assert reasons(change, "Prepare") == ["lock requirements.txt pandas: ==2.1.0 → ==2.2.0"]
    assert set(kinds(change)) == {"Prepare", "Fit", "Judge"}


def test_a_change_of_the_image_is_told_once_for_the_pipeline(project):
    project.write("Dockerfile", "FROM debian\nRUN true\n")
    base = project.commit()
    project.write("Dockerfile", "FROM debian\nRUN false\n")
    change = plan(project, base)
    assert [str(r) for r in change.pipelines[1].reasons] == [
        "image Dockerfile:2: RUN true → RUN false"
    ]
    assert kinds(change) == {}


def test_a_renamed_file_is_told_as_one(project):
    project.git("mv", "preprocessing.py", "transforming.py")
    project.change("steps.py", "from preprocessing", "from transforming")
    assert reasons(plan(project), "Prepare") == [
        "code preprocessing.py → transforming.py (renamed)",
        "code steps.py changed",
    ]


def test_pipelines_that_come_and_go_are_told(project):
    project.write("penstock.toml", '[pipelines]\nmore = "counts.py:counts"\n')
    change = plan(project)
    assert {p.name: p.kind for p in change.pipelines} == {
        "counts": Kind.REMOVED,
        "lines": Kind.REMOVED,
        "more": Kind.ADDED,
    }


def test_a_node_that_is_new_and_one_that_is_gone_are_told(project):
    project.change("pipeline.py", "count = Count(rows=rows)", "count = Count(rows=1).with_id('N')")
    assert kinds(plan(project)) == {"N": "added", "Count": "removed"}


def test_more_retries_make_no_node_run_again(project):
    project.change(
        "pipeline.py", "Prepare(rows=rows)", "Prepare(rows=rows).with_options(retries=2)"
    )
    change = plan(project)
    assert kinds(change) == {"Prepare": "changed"}
    assert reasons(change, "Prepare") == ["option retries not given → 2"]
    assert not any(node.runs_again for p in change.pipelines for node in p.nodes)


def test_a_commit_counts_as_the_working_tree_does(project):
    project.git("checkout", "--quiet", "-b", "branch")
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    project.commit()
    assert kinds(plan(project)) == {"Prepare": "changed", "Fit": "follows", "Judge": "follows"}


def test_what_the_base_did_since_the_branch_left_it_is_not_the_branchs_change(project):
    project.git("checkout", "--quiet", "-b", "branch")
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    project.commit()
    project.git("checkout", "--quiet", "main")
    project.change("pipeline.py", "steps: int = 5", "steps: int = 7")
    project.commit()
    project.git("checkout", "--quiet", "branch")
    change = plan(project)
    assert kinds(change) == {"Prepare": "changed", "Fit": "follows", "Judge": "follows"}
    assert "where this branch has left main" in change.notes[0]


def test_a_project_in_a_subfolder_has_its_files_named_from_the_top(tmp_path):
    project = git_project(tmp_path / "repository", "services/lines")
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    project.change("schema.pbtxt", "0.9", "0.8")
    change = plan(project)
    assert reasons(change, "Prepare") == ["code services/lines/preprocessing.py changed"]
    assert reasons(change, "ImportSchemaGen")[0].startswith("file services/lines/schema.pbtxt:4")
    assert change.folder == "services/lines"


def test_a_project_that_moved_to_another_folder_is_the_same(tmp_path):
    project = git_project(tmp_path / "repository", "old")
    project.git("mv", "old", "new")
    moved = GitProject(project.top, project.top / "new")
    assert not plan(moved).changes


def test_code_that_is_local_only_by_the_path_of_python_is_that_of_each_side(tmp_path, monkeypatch):
    project = git_project(tmp_path / "repository", "project")
    monkeypatch.setenv("PYTHONPATH", str(project.top / "library"))
    shared = project.top / "library" / "amount.py"
    shared.parent.mkdir()
    shared.write_text("STEPS = 5\n")
    project.change("pipeline.py", "steps: int = 5", "steps: int = STEPS")
    project.change("pipeline.py", "from steps", "from amount import STEPS\nfrom steps")
    base = project.commit()
    shared.write_text("STEPS = 6\n")
    assert reasons(plan(project, base), "Fit") == ["parameter steps 5 → 6"]


EDITABLE = """
import importlib.util, sys, types
module = types.ModuleType("__editable___library_finder")
module.MAPPING = {{"library": {package!r}}}
sys.modules[module.__name__] = module


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in module.MAPPING:
            file = {place} + "/__init__.py"
            return importlib.util.spec_from_file_location(name, file)


sys.meta_path.append(Finder)
"""


def with_an_installed_library(tmp_path, monkeypatch, place: str) -> tuple[GitProject, str]:
    """A project whose pipeline asks a package that is installed from the working tree."""
    project = git_project(tmp_path / "repository", "project")
    package = project.top / "source" / "library"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("STEPS = 5\n")
    site = tmp_path / "site"
    site.mkdir()
    text = EDITABLE.format(package=str(package), place=place.format(package=str(package)))
    (site / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(site))
    project.change("pipeline.py", "steps: int = 5", "steps: int = STEPS")
    project.change("pipeline.py", "from steps", "from library import STEPS\nfrom steps")
    base = project.commit()
    (package / "__init__.py").write_text("STEPS = 6\n")
    return project, base


def test_a_package_that_is_installed_from_the_working_tree_is_that_of_each_side(
    tmp_path, monkeypatch
):
    project, base = with_an_installed_library(tmp_path, monkeypatch, 'module.MAPPING["library"]')
    assert reasons(plan(project, base), "Fit") == ["parameter steps 5 → 6"]


def test_code_of_the_working_tree_is_never_taken_for_that_of_the_base(tmp_path, monkeypatch):
    project, base = with_an_installed_library(tmp_path, monkeypatch, "{package!r}")
    change = plan(project, base)
    assert "the module library was imported from the working tree" in change.error_before
    assert {p.kind for p in change.pipelines} == {Kind.UNKNOWN}


def test_a_worktree_is_compared_as_the_main_one_is(project, tmp_path):
    project.git("worktree", "add", "--quiet", str(tmp_path / "other"), "-b", "branch")
    other = GitProject(tmp_path / "other", tmp_path / "other")
    other.change("preprocessing.py", "rows + 1", "rows + 2")
    assert kinds(plan(other)) == {"Prepare": "changed", "Fit": "follows", "Judge": "follows"}


def test_a_shallow_clone_with_the_base_is_enough(project, tmp_path):
    project.git("checkout", "--quiet", "-b", "branch")
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    project.commit()
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project.top}", str(clone))
    git(clone, "fetch", "--quiet", "--depth=1", "origin", "main:refs/remotes/origin/main")
    change = plan(GitProject(clone, clone), "origin/main")
    assert kinds(change) == {"Prepare": "changed", "Fit": "follows", "Judge": "follows"}
    assert "this clone is shallow" in change.notes[0]


def test_a_shallow_clone_without_the_base_is_told_how_to_get_it(project, tmp_path):
    project.git("checkout", "--quiet", "-b", "branch")
    project.commit()
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project.top}", str(clone))
    with pytest.raises(ConfigError) as error:
        plan(GitProject(clone, clone), "origin/main")
    assert str(error.value) == (
        f"the commit 'origin/main' is not in this shallow clone ({clone}). Fetch it: git fetch "
        "--depth=1 origin main:refs/remotes/origin/main"
    ) + ("" if str(error.value).endswith("main") else ".")


def test_a_folder_in_no_repository_is_told(tmp_path):
    (tmp_path / "penstock.toml").write_text('[pipelines]\na = "a.py:a"\n')
    with pytest.raises(ConfigError, match="expected a git repository with a working tree"):
        plan_change(read_config(tmp_path / "penstock.toml"), "main")


def test_a_base_that_does_not_import_is_told_and_not_fatal(project):
    project.write("counts.py", "import nothing_of_this_name\n")
    base = project.commit()
    project.write("counts.py", "from penstock import pipeline\n\n\n@pipeline\ndef counts(): ...\n")
    project.git("checkout", "--quiet", "main", "--", "pipeline.py")
    change = plan(project, base)
    counts, lines = change.pipelines
    assert "No module named 'nothing_of_this_name'" in counts.error_before
    assert lines.kind is Kind.SAME


def test_a_pipeline_that_does_not_compile_now_is_told_and_the_others_are_compared(project):
    project.change("counts.py", "Count(rows=3)", "Count(row=3)")
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    change = plan(project)
    assert "row" in change.pipelines[0].error
    assert change.is_broken
    assert kinds(change) == {"Prepare": "changed", "Fit": "follows", "Judge": "follows"}


def test_a_base_with_keys_in_its_configuration_that_are_not_known_is_told(project):
    project.write("penstock.toml", 'keys = 1\n[pipelines]\nlines = "pipeline.py:lines"\n')
    base = project.commit()
    project.write("penstock.toml", '[pipelines]\nlines = "pipeline.py:lines"\n')
    change = plan(project, base)
    assert "the key 'keys' is not known" in change.error_before
    assert [p.kind for p in change.pipelines] == [Kind.UNKNOWN]


def test_files_that_no_pipeline_looks_at_are_named(project):
    project.write("notes.md", "Notes\n")
    change = plan(project)
    assert not change.changes
    assert change.elsewhere == ("notes.md",)


def test_large_files_of_the_base_are_left_out_and_that_is_told(project, monkeypatch):
    monkeypatch.setattr(repository, "_LARGEST_BYTES", 1_000_000)
    for number in range(5):
        project.write(f"data/large-{number}.bin", "x" * 1_000_001)
    base = project.commit()
    change = plan(project, base)
    assert not change.changes
    assert change.notes == (
        "in the base, files of more than 1 MB were left out, as no code is that large: "
        "data/large-0.bin, data/large-1.bin, data/large-2.bin and 2 more",
    )


def test_a_profile_that_the_base_has_not_is_told(project):
    project.change(
        "penstock.toml", "[pipelines]", "[profiles.b.parameters.lines]\nsteps = 9\n[pipelines]"
    )
    change = plan_change(read_config(project.folder / "penstock.toml"), "main", "b")
    assert change.notes == ("in the base, there is no profile 'b': pipelines have their defaults",)
    assert reasons(change, "Fit") == ["parameter steps 5 → 9"]


def test_neither_the_repository_nor_the_working_tree_are_touched(project):
    hook = project.top / ".git" / "hooks" / "post-checkout"
    for name in ("post-checkout", "post-index-change", "pre-commit"):
        hook.with_name(name).write_text(f"#!/bin/sh\ntouch {project.top}/{name}\n")
        hook.with_name(name).chmod(0o755)
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    before = project.state()
    plan(project)
    assert project.state() == before


def test_no_folder_is_left_behind(project, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    plan(project)
    assert list(scratch.iterdir()) == []


def test_a_hooks_variables_do_not_name_another_repository(project, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert not plan(project).changes


def test_a_submodule_has_the_code_of_its_commit(project, tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet", "--initial-branch=main")
    (library / "amounts.py").write_text("STEPS = 5\n")
    git(library, "add", ".")
    git(library, "commit", "--quiet", "-m", "One")
    project.git("submodule", "--quiet", "add", str(library), "library")
    project.change("pipeline.py", "from steps", "from library.amounts import STEPS\nfrom steps")
    project.change("pipeline.py", "steps: int = 5", "steps: int = STEPS")
    base = project.commit()
    (project.top / "library" / "amounts.py").write_text("STEPS = 6\n")
    git(project.top / "library", "commit", "--quiet", "-am", "Two")
    project.commit()
    assert reasons(plan(project, base), "Fit") == ["parameter steps 5 → 6"]


def test_what_stays_cached_and_how_long_it_took_come_from_the_store(project):
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "run", "lines"],
        cwd=project.folder,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    change = plan(project)
    verdicts = {node.node_id: node.verdict for node in change.pipelines[1].nodes}
    assert verdicts["Load"] == verdicts["Count"] == "cached"
    assert verdicts["Prepare"] == "runs"
    assert verdicts["Fit"] == "depends"
    assert change.pipelines[1].seconds is not None
    assert change.pipelines[1].untimed == []


def test_without_a_store_it_is_said_that_what_is_cached_is_unknown(project):
    change = plan(project)
    assert {p.unforeseen for p in change.pipelines} == {"there is no store yet"}
    assert {n.verdict for p in change.pipelines for n in p.nodes} == {"unknown"}


def test_ten_pipelines_take_less_than_five_seconds(project):
    names = [f"p{n}" for n in range(10)]
    for name in names:
        text = (project.folder / "pipeline.py").read_text().replace("def lines", f"def {name}")
        project.write(f"{name}.py", text)
    listed = "".join(f'{name} = "{name}.py:{name}"\n' for name in names)
    project.write("penstock.toml", f"[pipelines]\n{listed}")
    base = project.commit()
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    taken = []
    for _ in range(3):  # others may use the machine, too
        began = time.monotonic()
        change = plan(project, base)
        taken.append(time.monotonic() - began)
        if taken[-1] < 5:
            break
    assert len(change.pipelines) == 10
    assert min(taken) < 5


def test_a_fingerprint_is_the_same_wherever_the_project_lies(project, tmp_path):
    config = read_config(project.folder / "penstock.toml")
    copied = tmp_path / "elsewhere" / "copy"
    shutil.copytree(project.folder, copied, ignore=shutil.ignore_patterns(".git"))
    other = read_config(copied / "penstock.toml")
    assert fingerprint_of(config, "lines") == fingerprint_of(other, "lines")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("preprocessing.py", "rows + 1", "rows + 2"),
        ("pipeline.py", "steps: int = 5", "steps: int = 6"),
        ("schema.pbtxt", "0.9", "0.8"),
        ("requirements.txt", "2.1.0", "2.2.0"),
        ("penstock.toml", "[pipelines]", "[profiles.b.parameters.lines]\nsteps = 1\n[pipelines]"),
    ],
)
def test_a_fingerprint_is_another_when_what_it_is_of_changes(project, file, old, new):
    before = fingerprint_of(read_config(project.folder / "penstock.toml"), "lines")
    project.change(file, old, new)
    assert fingerprint_of(read_config(project.folder / "penstock.toml"), "lines") != before


def test_neither_data_nor_comments_nor_the_store_change_a_fingerprint(project):
    before = fingerprint_of(read_config(project.folder / "penstock.toml"), "lines")
    project.write("data/one.csv", "Age\n7\n")
    project.change("requirements.txt", "# what it needs", "# what this needs")
    project.change(
        "penstock.toml", "[pipelines]", '[profiles.default]\nmetadata = "a"\n[pipelines]'
    )
    assert fingerprint_of(read_config(project.folder / "penstock.toml"), "lines") == before
