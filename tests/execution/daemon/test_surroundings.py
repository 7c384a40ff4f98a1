from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest

from penstock.execution.daemon import asking, installed, places, surroundings, taking_on

pytestmark = pytest.mark.core


def around(**variables: str) -> dict[str, str]:
    return surroundings.of_this_process(os.getcwd(), variables)


def test_the_same_surroundings_do_not_differ():
    assert surroundings.difference(around(TF_X="1"), around(TF_X="1")) == ""


@pytest.mark.parametrize(
    "name",
    ["TF_USE_LEGACY_KERAS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "TZ",
     "PYTHONPATH", "KERAS_BACKEND", "LC_ALL", "LANG", "XLA_FLAGS", "HOME", "TMPDIR"],
)  # fmt: skip
def test_a_variable_that_counts_at_import_makes_a_difference(name):
    said = f"the variable {name} is not set in the run, and is 'x' in it"
    assert surroundings.difference(around(**{name: "x"}), around()) == said


@pytest.mark.parametrize("name", ["PATH", "PWD", "TERM", "SSH_TTY", "PASSWORD", "PENSTOCK_DAEMON"])
def test_another_variable_makes_none_and_is_not_told(name):
    assert surroundings.difference(around(**{name: "x"}), around()) == ""
    assert "x" not in around(**{name: "x"}).values()


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize(
    ("module", "name"),
    [("sklearn", "KMP_INIT_AT_FORK"), ("threadpoolctl", "KMP_DUPLICATE_LIB_OK")],
)
def test_a_variable_that_a_library_sets_in_one_of_both_makes_none(module, name):
    program = f"import os, {module}; print(os.environ[{name!r}])"
    environment = {key: value for key, value in os.environ.items() if key != name}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    value = done.stdout.strip()
    assert surroundings.difference(around(**{name: value}), around()) == ""
    assert surroundings.difference(around(), around(**{name: value})) == ""
    assert surroundings.difference(around(), around(**{name: "another"}))


@pytest.mark.parametrize("change", ["priority", "CPUs"])
def test_what_the_system_lets_nobody_take_on_makes_a_difference(change):
    own = around()
    key = next(key for key in own if key.endswith(change))
    assert (
        surroundings.difference(own, {**own, key: "other"})
        == f"{key} is another one than the run's"
    )


def test_another_project_has_another_place(tmp_path, monkeypatch):
    (tmp_path / "runtime").mkdir(mode=0o700)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    names = set()
    for project in (tmp_path / "a", tmp_path / "b"):
        with places.opened(str(project), environment) as place:
            names.add(place.socket)
    monkeypatch.setattr(sys, "prefix", "/another")
    with places.opened(str(tmp_path / "a"), environment) as place:
        names.add(place.socket)
    assert len(names) == 3


def test_a_runtime_folder_that_others_may_look_into_is_not_used(tmp_path):
    (tmp_path / "runtime").mkdir(mode=0o755)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "HOME": str(tmp_path / "home")}
    with places.opened("/project", environment) as place:
        assert place.path == str(tmp_path / "home" / ".cache" / "penstock" / "run")


def test_who_looks_for_a_daemon_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert asking.status_of(str(tmp_path)) is None
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, ""),
        ({"CI": "true"}, "this is CI"),
        ({"CI": "false"}, ""),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "this is a pod"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "PENSTOCK_DAEMON": "on"}, ""),
        ({"CI": "1", "PENSTOCK_DAEMON": "on"}, ""),
        ({"PENSTOCK_DAEMON": "off"}, "PENSTOCK_DAEMON is 'off'"),
    ],
)
def test_what_keeps_runs_from_using_a_daemon(environment, reason):
    assert asking.is_off(environment) == reason


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """A module that was imported from a folder, the only one on the path."""
    path = tmp_path / "module.py"
    path.write_text("a = 1")
    module = types.ModuleType("imported_by_a_daemon")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    noted = installed.Installed((str(tmp_path),))
    noted.note(path.stat().st_ctime + 1)
    return path, noted


def test_a_file_that_is_as_it_was_is_no_change(imported):
    assert imported[1].change() == ""


def test_a_file_that_was_edited_is_a_change(imported):
    path, noted = imported
    path.write_text("a = 22")
    assert noted.change() == f"{path} has changed"


def test_a_package_that_was_installed_is_a_change(imported):
    path, noted = imported
    (path.parent / "new-1.0.dist-info").mkdir()
    assert noted.change() == f"{path.parent}/new-1.0.dist-info has changed"


def test_a_file_that_was_written_while_it_was_imported_counts_as_changed(tmp_path, imported):
    path, _ = imported
    noted = installed.Installed((str(tmp_path),))
    noted.note(path.stat().st_ctime - 1)
    assert noted.change() == f"{path} was written while it was imported"


@pytest.mark.parametrize(
    ("entry", "hides"),
    [("json.py", True), ("json", True), ("other.py", False), ("json.txt", False)],
)
def test_what_a_run_s_folder_hides(tmp_path, entry, hides):
    if "." in entry:
        (tmp_path / entry).touch()
    else:
        (tmp_path / entry).mkdir()
        (tmp_path / entry / "__init__.py").touch()
    assert bool(list(taking_on._hidden([str(tmp_path), *sys.path], sys.path))) is hides


def test_a_folder_without_modules_hides_no_package(tmp_path):
    (tmp_path / "json").mkdir()
    assert not list(taking_on._hidden([str(tmp_path), *sys.path], sys.path))
