from __future__ import annotations

import os
import socket
import stat

import pytest

from penstock.errors import StorageError
from penstock.safety import private

pytestmark = pytest.mark.core

NOBODY = 65534


def test_a_folder_that_is_missing_is_made_for_the_user_alone(tmp_path):
    path = tmp_path / "new" / "private"
    os.close(private.open_private_folder(str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701])
def test_a_folder_that_others_may_look_into_is_refused(tmp_path, mode):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(StorageError, match=f"with mode {mode:o}"):
        private.open_private_folder(str(tmp_path / "open"))


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="no folder of this user's alone"):
        private.open_private_folder(str(tmp_path / "link"))
    assert not private.is_private(str(tmp_path / "link"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is another user's")
def test_a_folder_of_another_user_is_refused(tmp_path):
    (tmp_path / "planted").mkdir(mode=0o700)
    os.chown(tmp_path / "planted", NOBODY, NOBODY)
    with pytest.raises(StorageError, match=f"one of user {NOBODY}"):
        private.open_private_folder(str(tmp_path / "planted"))
    assert not private.is_private(str(tmp_path / "planted"))


def test_whoever_listens_is_reached_however_long_the_path_is(tmp_path):
    folder = private.open_private_folder(str(tmp_path / ("long" * 40) / "private"))
    with private.listening(folder, "name"):
        connection = private.connected(folder, "name", 1.0)
        assert connection is not None
        connection.close()
    os.close(folder)


def test_nobody_is_reached_where_the_listener_has_died(tmp_path):
    folder = private.open_private_folder(str(tmp_path / "private"))
    private.listening(folder, "name").close()
    assert private.connected(folder, "name", 1.0) is None
    os.close(folder)


def test_the_system_says_who_the_peer_is():
    one, other = socket.socketpair()
    with one, other:
        assert private.user_of_peer(one) == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_listener_of_another_user_is_not_talked_to(tmp_path):
    folder = private.open_private_folder(str(tmp_path / "private"))
    listens, done = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.setegid(NOBODY)
        listener = private.listening(folder, "name") if _as_nobody(folder) else None
        os.write(listens[1], b"1")
        os.read(done[0], 1)
        os._exit(0 if listener else 1)
    os.read(listens[0], 1)
    assert private.connected(folder, "name", 1.0) is None
    os.write(done[1], b"1")
    assert os.waitpid(child, 0)[1] == 0
    for file in (folder, *listens, *done):
        os.close(file)


def _as_nobody(folder: int) -> bool:
    os.fchmod(folder, 0o777)
    os.seteuid(NOBODY)
    return True
