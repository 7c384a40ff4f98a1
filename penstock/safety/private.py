"""Folders of the user's alone, and sockets in them whose peers are asked who they are."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Mapping

from penstock.errors import StorageError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREDENTIALS = struct.Struct("3i")  # process, user, group


def user_cache(environment: Mapping[str, str]) -> str | None:
    """Return where a user's programs keep what can be made anew; None where none is set.

    The XDG base directory specification says where.
    """
    home = environment.get("HOME", "")
    cache = environment.get("XDG_CACHE_HOME", "") or os.path.join(home, ".cache")
    return cache if os.path.isabs(cache) else None


def open_private_folder(path: str) -> int:
    """Open a folder that nobody but this user can look into; it is made where it is missing.

    Raises:
      StorageError: it is somebody else's, a link, or open to others.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        folder = os.open(path, _OPEN)
    except OSError as error:
        raise StorageError(
            f"no folder of this user's alone can be had: {error.strerror}", path=path
        ) from error
    status = os.fstat(folder)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(folder)
        raise StorageError(
            f"expected a folder of user {os.geteuid()} with mode 700, got one of user "
            f"{status.st_uid} with mode {stat.S_IMODE(status.st_mode):o}",
            path=path,
            hint="Remove it; it is made anew.",
        )
    return folder


def is_private(path: str) -> bool:
    """Whether there is a folder that is this user's, and that nobody else can look into."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    owned = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return owned and not stat.S_IMODE(status.st_mode) & 0o077


def listening(folder: int, name: str) -> socket.socket:
    """Return a socket that listens in an open folder; one that was there is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # However long the folder's path is, and whatever is put in its place.
        listener.bind(f"/proc/self/fd/{folder}/{name}")
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def inherited(number: int) -> socket.socket:
    """Return the socket that whoever started this process has it listen on."""
    return socket.socket(fileno=number)


def connected(folder: int, name: str, seconds: float) -> socket.socket | None:
    """Return a connection to who listens in an open folder; None where nobody of this user's does.

    Nothing waits longer for the other end than some seconds.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{name}")
        if user_of_peer(connection) == os.geteuid():
            return connection
    except OSError:
        pass
    connection.close()
    return None


def user_of_peer(connection: socket.socket) -> int:
    """Return the number of the user at the other end, as the system knows it."""
    known = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(known)[1]
    return user
