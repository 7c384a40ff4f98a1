"""What is said of an exception: a paragraph for the reader, and the whole traceback for the log."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import traceback

from penstock.errors import PenstockError, StorageError, UserCodeError
from penstock.execution.logs import WHOLE_TRACEBACK, last_lines
from penstock.project import extras, user_code
from penstock.project.retrying import ERROR, MEMORY
from penstock.safety.printable import excerpt
from penstock.safety.users import user_name

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# What TensorFlow, PyTorch and Arrow raise; they are not imported to know it.
_OF_MEMORY = {"ResourceExhaustedError", "OutOfMemoryError", "ArrowMemoryError"}
_NO_PERMISSION = (errno.EACCES, errno.EPERM)
# TensorFlow and other native libraries have errors of their own that only quote the system's.
_QUOTED = {
    number: os.strerror(number)
    for number in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EFBIG,
        errno.ESTALE,
    )
}


def describe(error: BaseException, folder: str) -> str:
    """Return what went wrong, in a paragraph; `folder` is the one that is written to."""
    return encodable(excerpt(_described(error, folder)))


def kind(error: BaseException) -> str:
    """Return of what work failed that ended in an exception."""
    named = {cls.__name__ for cls in type(error).__mro__}
    lacks_memory = isinstance(error, MemoryError) or named & _OF_MEMORY
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        lacks_memory = True
    return MEMORY if lacks_memory else ERROR


def encodable(text: str) -> str:
    """Return a text that every file, terminal and store takes: lone surrogates are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _described(error: BaseException, folder: str) -> str:
    if isinstance(error, PenstockError) and not isinstance(error, UserCodeError):
        # One of ours that tells of a file as of data; what to do is known by what the system said.
        behind = None if error.hint else storage_error(error.__cause__, folder)
        return f"{error} {behind.hint}" if behind else str(error)
    storage = storage_error(error, folder)
    if storage is not None:
        return str(storage)
    absent = extras.of_import_error(error)
    said = str(error) if isinstance(error, PenstockError) else user_code.folded(error)
    hints = [absent.hint] if absent and absent.hint and absent.hint not in said else []
    hints += [
        f"The file {file} has the name of the installed package {package} and is imported in its "
        "place: rename it if that is not meant."
        for package, file in sorted(user_code.hidden_packages(error).items())
    ]
    return "\n".join([said, *hints])


def tell(error: BaseException, folder: str) -> str:
    """Write an error to the log, with the traceback unless it is of no use, and describe it."""
    message = describe(error, folder)
    lines = [f"error: {message}"]
    # Of other errors of ours, what is expected is said: where we noticed is beside the point.
    if isinstance(error, UserCodeError) or not isinstance(error, PenstockError):
        lines += [WHOLE_TRACEBACK, encodable("".join(traceback.format_exception(error)))]
    with contextlib.suppress(OSError):  # the log may be on the disk that is full
        print("\n".join(lines), file=sys.stderr, flush=True)
    return message


def worker_failure(message: str, crashed_log: str | None = None) -> str:
    """Return why a worker failed; of one whose process crashed, its log's last lines may say it."""
    message = message or "it ended without a result"
    if crashed_log and (lines := last_lines(crashed_log)):
        message += f". The end of its log: {lines}"
    return message


def storage_error(error: BaseException | None, below: str) -> StorageError | None:
    """Return the error for a full disk, a read-only one or a lacking permission, if it is one."""
    number, path = _system_error(error)
    if number is None:
        return None
    folder = _existing_folder(path or below)
    location = path or f"a file below {below}"
    if number in _NO_SPACE:
        usage = shutil.disk_usage(folder)
        return StorageError(
            f"no space is left on the device of {folder}: {usage.free / 1e6:,.1f} MB of "
            f"{usage.total / 1e6:,.1f} MB are free",
            path=folder,
            hint="Free some space and run again, or set another pipeline_root. Nothing of this "
            "node was published.",
        )
    if number == errno.EFBIG:
        return StorageError(
            f"{location} would become larger than files may be here",
            path=folder,
            hint="Look at `ulimit -f` and at the limits of the file system.",
        )
    if number == errno.EROFS:
        return StorageError(
            f"cannot write {location}: its file system is read-only",
            path=folder,
            hint="Set a pipeline_root that can be written to.",
        )
    if number == errno.ESTALE:
        return StorageError(
            f"{location} was gone when it was used: {os.strerror(number)}",
            path=folder,
            hint="Another machine has replaced or removed it, or its file server was started anew. "
            "If it is there again, go on with the run: penstock resume.",
        )
    if number == errno.ELOOP:
        return StorageError(
            f"cannot open {location}: a symbolic link, or no plain file or folder, is in its place",
            path=folder,
            hint="Nothing is written or read over links below the pipeline's root: look who put it "
            f"there (ls -ld {location}), and remove it.",
        )
    return StorageError(
        f"the user {user_name()} has no permission for {location}",
        path=folder,
        hint=f"Change its owner or mode (ls -ld {folder}), or set another pipeline_root.",
    )


def _system_error(error: BaseException | None) -> tuple[int | None, str | None]:
    """Return the system's error number behind an exception, and the path that it names."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (*_QUOTED, errno.EPERM, errno.ELOOP):
            name = error.filename
            return error.errno, os.fsdecode(name) if isinstance(name, (str, bytes)) else None
        text = str(error)
        for number, quoted in _QUOTED.items():
            if quoted in text and type(error).__module__.partition(".")[0] != "builtins":
                return number, None
        error = error.__cause__ or error.__context__
    return None, None


def _existing_folder(path: str) -> str:
    path = os.path.abspath(path)
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path
