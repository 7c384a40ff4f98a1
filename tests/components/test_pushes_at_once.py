"""Pushes to one directory never interleave, whoever is killed at whatever moment."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penstock.components.pusher import local_versions
from penstock.errors import ParameterError, StorageError
from penstock_support import PROGRAMS

PUSHES = str(PROGRAMS / "pushes.py")
FILES = {"saved_model.pb": "graph", "variables/variables.index": "index" * 100}


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", PUSHES, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer_of(process: subprocess.Popen) -> dict:
    output, _ = process.communicate("\n")
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])


@pytest.fixture
def source(tmp_path) -> str:
    for name, text in FILES.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path / "model")


@pytest.fixture
def waiting(monkeypatch) -> threading.Event:
    """Set when a push says that it waits for another one."""
    said = threading.Event()

    def tell(text: str, **options: object) -> None:
        if text.startswith("Waiting for another push"):
            said.set()

    monkeypatch.setattr(local_versions, "print", tell, raising=False)
    return said


def contents(directory) -> dict[str, str]:
    root = Path(directory)
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("keep_last", [None, 3])
def test_processes_that_push_and_are_killed_at_the_same_time_leave_whole_versions(
    tmp_path, source, keep_last
):
    base = tmp_path / "base"
    base.mkdir()
    readers = [start("watch", tmp_path) for _ in range(2)]
    pushers = [start("push", tmp_path, me, 12, keep_last or 0) for me in range(4)]
    for pusher in pushers:
        pusher.stdin.write("\n")
        pusher.stdin.flush()
    pushed = [answer_of(pusher) for pusher in pushers]
    seen = [answer_of(reader) for reader in readers]

    assert [reader["problems"] for reader in seen] == [[], []]
    assert all(reader["checked"] for reader in seen)
    assert sum(one["killed"] for one in pushed) > 4, "hardly a push was killed"
    done = [(number, name) for one in pushed for number, name in one["done"]]
    assert len({number for number, _ in done}) == len(done)
    for one in pushed:
        numbers = [number for number, _ in one["done"]]
        assert numbers == sorted(numbers)
    # What readers saw under a number is what was pushed to it.
    names = dict(done)
    for number, name in [pair for reader in seen for pair in reader["models"]]:
        assert names.get(number, name) == name
    last = local_versions.push(source, str(base), version_names="unix_time", keep_last=keep_last)
    left = sorted(int(name) for name in os.listdir(base) if name.isdigit())
    assert left[-1] == int(os.path.basename(last)) > max(names)
    if keep_last is None:
        assert set(names) <= set(left)
    else:
        assert len(left) == keep_last


def test_a_push_that_is_killed_at_any_step_leaves_whole_versions_and_does_not_block_the_next(
    tmp_path,
):
    told = answer_of(start("steps", tmp_path))
    assert told["steps"] > 50
    assert told["seen"] == ["[1, 2, 3]", "[1, 2]", "[2, 3]"]


def test_a_base_directory_and_a_link_to_it_have_one_lock(tmp_path, source, waiting):
    real = tmp_path / "real"
    local_versions.push(source, str(real), version_names="sequential")
    (tmp_path / "link").symlink_to(real)
    with open(real / local_versions.LOCK_FILE) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pushing = threading.Thread(
            target=local_versions.push,
            args=(source, str(tmp_path / "link")),
            kwargs={"version_names": "sequential"},
        )
        pushing.start()
        assert waiting.wait(timeout=60)
        assert not (real / "2").exists()
    pushing.join()
    assert contents(real / "2") == FILES


def test_a_lock_file_that_is_removed_while_a_push_waits_for_it_is_made_anew(
    tmp_path, source, waiting
):
    base = tmp_path / "base"
    base.mkdir()
    path = base / local_versions.LOCK_FILE
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pushing = threading.Thread(
            target=local_versions.push,
            args=(source, str(base)),
            kwargs={"version_names": "sequential"},
        )
        pushing.start()
        assert waiting.wait(timeout=60)
        path.unlink()
    pushing.join()
    assert path.exists()
    assert contents(base / "1") == FILES


def test_the_destination_may_be_on_another_file_system(tmp_path, source):
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("/dev/shm is the same file system here")
    base = Path("/dev/shm") / f"penstock-{os.urandom(6).hex()}"
    try:
        pushed = local_versions.push(source, str(base), version_names="sequential")
        assert contents(pushed) == FILES
    finally:
        shutil.rmtree(base)


def test_a_file_in_place_of_the_base_directory_is_named(tmp_path, source):
    (tmp_path / "plain").write_text("")
    for base in (tmp_path / "plain", tmp_path / "plain" / "below"):
        with pytest.raises(ParameterError, match="should be a directory") as caught:
            local_versions.push(source, str(base), version_names="sequential")
        assert str(base) in str(caught.value)


def test_a_file_system_without_locks_is_refused(tmp_path, source, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError, match="penstock-push.lock has no locks") as caught:
        local_versions.push(source, str(tmp_path / "base"), version_names="sequential")
    assert "mount the file system with locks" in str(caught.value)


PUSH = """
import sys
from penstock.components.pusher import local_versions
from penstock.errors import StorageError
try:
    print(local_versions.push(*sys.argv[1:], version_names="sequential"))
except StorageError as error:
    print(error)
"""


@pytest.fixture
def push_to_small_place(tmp_path, source):
    """Push twice to a disk of 1 MB, in a mount namespace of its own; return what was printed."""
    tried = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip("needs the right to mount (unshare -m)")
    (tmp_path / "place").mkdir()
    (tmp_path / "push.py").write_text(PUSH)

    def push(prepare: str, size: int) -> list[str]:
        big = tmp_path / "big"
        big.mkdir()
        (big / "weights").write_bytes(b"0" * size)
        script = "\n".join(
            (
                "set -e",
                f"mount -t tmpfs -o size=1m tmpfs {tmp_path}/place",
                f"{sys.executable} {tmp_path}/push.py {source} {tmp_path}/place/base",
                prepare.format(place=tmp_path / "place"),
                f"{sys.executable} {tmp_path}/push.py {big} {tmp_path}/place/base",
                f"ls -A {tmp_path}/place/base",
            )
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script], check=True, capture_output=True, text=True
        )
        return done.stdout.splitlines()

    return push


def test_a_full_disk_is_named_and_holds_what_it_held(push_to_small_place, tmp_path):
    first, error, *left = push_to_small_place("true", 2_000_000)
    assert first.endswith("/1")
    assert error.startswith(f"cannot push {tmp_path}/big to {tmp_path}/place/base: No space left")
    assert "Nothing was published." in error
    assert "MB are free there" in error
    assert left == [local_versions.LOCK_FILE, "1"]


def test_a_read_only_base_directory_is_named(push_to_small_place, tmp_path):
    first, error, *left = push_to_small_place("mount -o remount,ro {place}", 10)
    assert first.endswith("/1")
    assert f"cannot push {tmp_path}/big to {tmp_path}/place/base: Read-only file system" in error
    assert "how it is mounted" in error
    assert left == [local_versions.LOCK_FILE, "1"]


def test_an_old_version_that_cannot_be_removed_does_not_fail_a_push(
    tmp_path, source, monkeypatch, capsys
):
    base = tmp_path / "base"
    local_versions.push(source, str(base), version_names="sequential")
    rename = os.rename

    def refuse(old, new):
        if old.endswith("/1"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), old)
        rename(old, new)

    monkeypatch.setattr(os, "rename", refuse)
    pushed = local_versions.push(source, str(base), version_names="sequential", keep_last=1)
    assert contents(pushed) == FILES
    assert "The old version 1 could not be removed: Permission denied" in capsys.readouterr().out


def test_what_is_no_directory_is_no_version_to_remove(tmp_path, source):
    base = tmp_path / "base"
    base.mkdir()
    (base / "1").write_text("a note")
    (base / "2").symlink_to(source)
    for _ in range(2):
        local_versions.push(source, str(base), version_names="sequential", keep_last=1)
    assert sorted(os.listdir(base)) == [local_versions.LOCK_FILE, "1", "4"]
    assert contents(source) == FILES


def test_staging_that_cannot_be_removed_is_in_nobodys_way(tmp_path, source, monkeypatch):
    base = tmp_path / "base"
    stale = base / f"{local_versions.STAGING_PREFIX}1"
    stale.mkdir(parents=True)
    (stale / "other").write_text("of another model")

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    pushed = local_versions.push(source, str(base), version_names="sequential")
    assert contents(pushed) == FILES
