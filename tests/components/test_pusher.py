"""Pushing models: versions appear whole or not at all, and only blessed ones."""

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import InfraBlessing, Model, ModelBlessing, PushedModel
from penstock.components.pusher import executor, ledger, local_versions, remote_versions
from penstock.data.files import remote
from penstock.errors import DataError, ParameterError, StorageError

FILES = {
    "assets/vocabulary": "cash\ncredit\n",
    "saved_model.pb": "graph",
    "variables/variables.data-00000-of-00001": "weights" * 1000,
    "variables/variables.index": "index",
}


def contents(directory) -> dict[str, str]:
    root = Path(directory)
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text() for path in files}


def versions(base) -> list[str]:
    return sorted(name for name in os.listdir(base) if not name.startswith("."))


@pytest.fixture
def model(tmp_path) -> Model:
    artifact = Model()
    artifact.uri = str(tmp_path / "model")
    for name, text in FILES.items():
        path = tmp_path / "model" / "Format-Serving" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return artifact


@pytest.fixture
def source(model) -> str:
    return f"{model.uri}/Format-Serving"


@pytest.fixture
def base(tmp_path) -> str:
    return str(tmp_path / "serving")


@pytest.fixture
def pushed(tmp_path) -> PushedModel:
    artifact = PushedModel()
    artifact.uri = str(tmp_path / "pushed")
    return artifact


@pytest.fixture
def push_model(model, base, pushed):
    def push(**arguments):
        defaults = {
            "pushed_model": pushed,
            "model": model,
            "model_blessing": None,
            "infra_blessing": None,
            "base_directory": base,
            "version_names": "unix_time",
            "version": None,
            "keep_last": None,
        }
        executor.push_if_blessed(**{**defaults, **arguments})

    return push


@pytest.fixture
def blessing(tmp_path):
    def make(kind, blessed: int, **properties: int):
        artifact = kind()
        artifact.uri = str(tmp_path / kind.TYPE_NAME)
        for name, value in {"blessed": blessed, **properties}.items():
            artifact.set_int_custom_property(name, value)
        return artifact

    return make


def test_a_push_copies_the_model_to_a_version_and_to_the_artifact(push_model, base, pushed):
    push_model()
    (version,) = versions(base)
    assert contents(f"{base}/{version}") == FILES
    assert contents(pushed.uri) == FILES


def test_a_push_is_recorded_as_tfx_does(push_model, base, pushed):
    push_model()
    (version,) = versions(base)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == f"{base}/{version}"
    assert pushed.get_string_custom_property("pushed_version") == version


def test_the_version_is_the_unix_time_by_default(push_model, base):
    push_model()
    assert re.fullmatch(r"\d{10}", versions(base)[0])


def test_the_version_can_be_the_utc_time(source, base):
    local_versions.push(source, base, version_names="utc_time")
    assert re.fullmatch(r"20\d{12}", versions(base)[0])


def test_sequential_versions_count_from_one(source, base):
    for _ in range(3):
        local_versions.push(source, base, version_names="sequential")
    assert versions(base) == ["1", "2", "3"]


def test_a_version_can_be_named(push_model, base, pushed):
    push_model(version="release-7")
    assert versions(base) == ["release-7"]
    assert pushed.get_string_custom_property("pushed_version") == "release-7"


def test_a_number_that_is_taken_becomes_the_next_free_one(source, base):
    for _ in range(3):
        local_versions.push(source, base, version_names="unix_time", version="41")
    assert versions(base) == ["41", "42", "43"]


def test_a_name_that_is_taken_is_refused(source, base):
    local_versions.push(source, base, version_names="unix_time", version="release-7")
    with pytest.raises(ParameterError, match="the version 'release-7' exists already"):
        local_versions.push(source, base, version_names="unix_time", version="release-7")


def test_keep_last_removes_the_smallest_numbers(source, base):
    for version in ("9", "10", "11", "champion"):
        local_versions.push(source, base, version_names="unix_time", version=version)
    local_versions.push(source, base, version_names="unix_time", version="12", keep_last=2)
    assert versions(base) == ["11", "12", "champion"]


def test_keep_last_removes_neither_the_version_just_pushed_nor_the_newest(source, base):
    for version in ("50", "60"):
        local_versions.push(source, base, version_names="unix_time", version=version)
    local_versions.push(source, base, version_names="unix_time", version="7", keep_last=1)
    assert versions(base) == ["60", "7"]


def test_a_version_that_is_named_by_penstock_is_the_greatest(source, base):
    pushed = [
        local_versions.push(source, base, version_names=names)
        for names in ("utc_time", "unix_time", "sequential", "utc_time")
    ]
    numbers = [int(os.path.basename(path)) for path in pushed]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("kind", [ModelBlessing, InfraBlessing])
def test_a_model_that_is_not_blessed_is_not_pushed(push_model, blessing, base, pushed, kind):
    name = "model_blessing" if kind is ModelBlessing else "infra_blessing"
    push_model(**{name: blessing(kind, 0)})
    assert not os.path.exists(base)
    assert pushed.get_int_custom_property("pushed") == 0


def test_a_model_with_both_blessings_is_pushed(push_model, blessing, base):
    push_model(model_blessing=blessing(ModelBlessing, 1), infra_blessing=blessing(InfraBlessing, 1))
    assert len(versions(base)) == 1


def test_a_blessing_without_the_property_is_read_from_its_file(tmp_path):
    artifact = ModelBlessing()
    artifact.uri = str(tmp_path)
    assert not executor.is_blessed(artifact)
    (tmp_path / "BLESSED").touch()
    assert executor.is_blessed(artifact)


def test_without_a_model_the_one_with_warm_up_requests_is_pushed(push_model, blessing, base):
    infra = blessing(InfraBlessing, 1, has_model=1)
    stamped = Path(infra.uri, "stamped_model", "saved_model.pb")
    stamped.parent.mkdir(parents=True)
    stamped.write_text("warm")
    push_model(model=None, infra_blessing=infra)
    assert contents(f"{base}/{versions(base)[0]}") == {"saved_model.pb": "warm"}


def test_an_infra_blessing_without_a_model_says_how_to_get_one(push_model, blessing):
    with pytest.raises(DataError, match="has no model to push") as caught:
        push_model(model=None, infra_blessing=blessing(InfraBlessing, 1))
    assert "make_warmup" in str(caught.value)


def test_an_artifact_without_a_model_to_serve_says_what_it_has(push_model, tmp_path):
    empty = Model()
    empty.uri = str(tmp_path / "empty")
    Path(empty.uri, "Format-Other").mkdir(parents=True)
    with pytest.raises(DataError, match="should have a directory Format-Serving") as caught:
        push_model(model=empty)
    assert "has Format-Other" in str(caught.value)


def test_no_destination_says_what_to_give(push_model):
    with pytest.raises(ParameterError, match="should be given a push_destination"):
        push_model(base_directory="")


@pytest.mark.parametrize("keep_last", [0, -1])
def test_keep_last_must_keep_something(push_model, keep_last):
    with pytest.raises(ParameterError, match="keep_last should be 1 or more"):
        push_model(keep_last=keep_last)


@pytest.mark.parametrize("version", ["", ".hidden", "a/b"])
def test_a_version_must_be_a_visible_directory(push_model, version):
    with pytest.raises(ParameterError, match="version should be the name of a directory"):
        push_model(version=version)


KILLED_PUSH = """
import os, shutil, signal, sys
from penstock.components.pusher import local_versions

source, base, step, count = sys.argv[1:3] + [sys.argv[3], int(sys.argv[4])]
module = shutil if step == "copyfile" else os
real = getattr(module, step)

def counted(*args, **kwargs):
    global count
    count -= 1
    if count < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)

setattr(module, step, counted)
local_versions.push(source, base, version_names="sequential", keep_last=1)
"""


@pytest.mark.parametrize(
    ("step", "count"),
    [("copyfile", 0), ("copyfile", 2), ("fsync", 0), ("fsync", 4), ("rename", 0), ("rename", 1)],
)
def test_a_push_that_is_killed_leaves_only_whole_versions(source, base, step, count):
    local_versions.push(source, base, version_names="sequential")
    child = subprocess.run(
        [sys.executable, "-c", KILLED_PUSH, source, base, step, str(count)], check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert "1" in versions(base)
    assert all(contents(f"{base}/{version}") == FILES for version in versions(base))


def test_the_next_push_clears_what_a_killed_one_left(source, base):
    subprocess.run([sys.executable, "-c", KILLED_PUSH, source, base, "copyfile", "2"], check=False)
    left = [name for name in os.listdir(base) if name.startswith(local_versions.STAGING_PREFIX)]
    assert left
    local_versions.push(source, base, version_names="sequential")
    assert sorted(os.listdir(base)) == [local_versions.LOCK_FILE, "1"]


def test_pushes_at_the_same_time_get_versions_of_their_own(source, base):
    push = (
        "import sys; from penstock.components.pusher import local_versions as v; "
        "v.push(sys.argv[1], sys.argv[2], version_names='unix_time', version='100')"
    )
    children = [subprocess.Popen([sys.executable, "-c", push, source, base]) for _ in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    assert versions(base) == ["100", "101", "102", "103"]
    assert all(contents(f"{base}/{version}") == FILES for version in versions(base))


def test_a_remote_push_copies_the_saved_model_last(source, monkeypatch, tmp_path):
    base = f"memory://{tmp_path.name}/taxi"
    remote_versions.push(source, base, version_names="sequential", version="3")
    remote_versions.push(source, base, version_names="sequential", version="4")
    uploaded = []
    upload = remote.upload
    monkeypatch.setattr(
        remote, "upload", lambda path, url: uploaded.append(url) or upload(path, url)
    )
    uri = remote_versions.push(source, base, version_names="sequential", keep_last=2)
    assert uri == f"{base}/5"
    assert len(uploaded) == len(FILES)
    assert uploaded[-1] == f"{base}/5/saved_model.pb"
    assert remote.names(base) == ["4", "5"]
    assert [file.name for file in remote.list_files(uri)] == sorted(FILES)


def test_pushing_loads_no_tensorflow():
    code = "import sys, penstock.components.pusher.executor; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(params=["local", "remote"])
def destination(request, base) -> tuple[Any, str]:
    """Where versions are pushed to: a directory, or an object store."""
    if request.param == "local":
        return local_versions, base
    return remote_versions, f"memory://{uuid.uuid4().hex}/taxi"


def numbered(base: str) -> list[str]:
    names = remote.names(base) if remote.is_remote(base) else os.listdir(base)
    return sorted(name for name in names if name.isdigit())


def test_a_push_of_one_name_makes_one_version(source, destination):
    versions, base = destination
    made = [
        versions.push(source, base, version_names="sequential", push_name=name)
        for name in ("run-1.Pusher", "run-2.Pusher", "run-1.Pusher")
    ]
    assert made[2] == made[0] != made[1]
    assert numbered(base) == ["1", "2"]


def test_a_named_version_that_the_same_push_made_is_no_conflict(source, destination):
    versions, base = destination
    arguments = {"version_names": "unix_time", "version": "release-7", "push_name": "run.Pusher"}
    assert versions.push(source, base, **arguments) == versions.push(source, base, **arguments)


def test_a_push_whose_version_was_removed_meanwhile_makes_it_anew(source, base):
    first = local_versions.push(source, base, version_names="sequential", push_name="run.Pusher")
    shutil.rmtree(first)
    assert local_versions.push(source, base, version_names="sequential", push_name="run.Pusher")
    assert numbered(base) == ["1"]


def test_pushes_whose_versions_are_gone_leave_no_note(source, base):
    for number in range(4):
        local_versions.push(
            source, base, version_names="sequential", keep_last=1, push_name=f"run-{number}.Pusher"
        )
    assert sorted(os.listdir(Path(base, ledger.FOLDER))) == ["run-2.Pusher", "run-3.Pusher"]


def test_a_remote_version_that_was_begun_is_completed(source, monkeypatch):
    base = f"memory://{uuid.uuid4().hex}/taxi"
    upload = remote.upload

    def fail_at_the_graph(path: str, url: str) -> None:
        if url.endswith("saved_model.pb"):
            raise StorageError("the connection was lost")
        upload(path, url)

    monkeypatch.setattr(remote, "upload", fail_at_the_graph)
    arguments = {"version_names": "sequential", "push_name": "run.Pusher"}
    with pytest.raises(StorageError):
        remote_versions.push(source, base, **arguments)
    monkeypatch.setattr(remote, "upload", upload)
    uri = remote_versions.push(source, base, **arguments)
    assert numbered(base) == ["1"]
    assert [file.name for file in remote.list_files(uri)] == sorted(FILES)
