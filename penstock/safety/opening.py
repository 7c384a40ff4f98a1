"""Files of ours in folders that others may write too: no link below the root leads elsewhere.

Names such as those of logs can be known before they are written. So each folder between the root
and the file is opened below the one that is held open already, and none over a symbolic link;
neither is the file. The root itself may be reached over links: it is the user's choice.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

# Folders are only walked through, which needs no permission to list them, where the system can.
_WALK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_A_LINK = "a symbolic link, or no plain file or folder, is in its place; remove it"


def open_below(root: str, path: str, mode: str = "r", **options: Any) -> IO[Any]:
    """Open a file below a root over no symbolic link, as `open` does.

    Folders that are missing are made for a file that is to be written.

    Raises:
      OSError: ELOOP, where a link, a pipe or a device is in the place of the file, or a link or a
        file in that of a folder; and those of `open`.
    """

    def opener(_: str, flags: int) -> int:
        return descriptor_below(root, path, flags)

    return open(path, mode, opener=opener, **options)  # the caller closes it


def descriptor_below(root: str, path: str, flags: int) -> int:
    """Open a file below a root over no symbolic link, as `os.open` does.

    Raises:
      OSError: as `open_below`.
    """
    with _folder_of(root, path, makes=bool(flags & os.O_CREAT)) as (folder, name):
        # A pipe would be waited for, and nothing is emptied before it is known to be a file.
        wary = (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, wary, 0o666, dir_fd=folder)
        except OSError as error:
            raise _about(error, path) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ELOOP, _NOT_A_LINK, path)
        os.set_blocking(descriptor, True)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def replace_below(root: str, path: str, content: str, *, lasting: bool = False) -> None:
    """Write a file below a root whole or not at all; what is there, also a link, is replaced.

    `lasting` says that it must be on the disk before this returns.

    Raises:
      OSError: as `open_below`.
    """
    with _folder_of(root, path, makes=True) as (folder, name):
        part = f".{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(part, flags, 0o666, dir_fd=folder)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                if lasting:
                    os.fsync(file.fileno())
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
            raise _about(error, path) from None


def make_folder_below(root: str, path: str) -> None:
    """Make a root, a folder below it and those between, over no symbolic link.

    Raises:
      OSError: as `open_below`.
    """
    os.makedirs(root, exist_ok=True)
    with _folder_of(root, os.path.join(path, "any"), makes=True):
        pass


@contextmanager
def _folder_of(root: str, path: str, *, makes: bool) -> Iterator[tuple[int, str]]:
    """Hold the folder of a file below a root open; yield it and the file's name."""
    *names, name = os.path.relpath(path, root).split(os.sep)
    if os.pardir in (*names, name) or name == os.curdir:
        raise OSError(errno.EINVAL, f"it is not below {root}", path)
    held = os.open(root, _WALK & ~os.O_NOFOLLOW)
    try:
        for index, folder in enumerate(names):
            try:
                if makes:
                    with suppress(FileExistsError):
                        os.mkdir(folder, 0o777, dir_fd=held)
                below = os.open(folder, _WALK, dir_fd=held)
            except OSError as error:
                raise _about(error, os.path.join(root, *names[: index + 1])) from None
            os.close(held)
            held = below
        yield held, name
    finally:
        os.close(held)


def _about(error: OSError, path: str) -> OSError:
    """Return an error about a path, and what a link in its place is, in one way on all systems."""
    number = error.errno or errno.EIO
    if number in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.ENXIO):
        return OSError(errno.ELOOP, _NOT_A_LINK, path)
    return OSError(number, os.strerror(number), path)
