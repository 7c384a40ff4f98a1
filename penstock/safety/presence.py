"""Whether something is there: yes, no, or an error where nobody can say.

`os.path.exists` says no where the system cannot look: the file server is away, a handle is stale, a
folder may not be searched. Whoever then takes it for gone loses what is there.
"""

from __future__ import annotations

import errno
import os
import stat

from penstock.errors import StorageError

# There can be nothing of that name.
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def is_there(path: str) -> bool:
    """Whether there is something at a path, symbolic links followed.

    Raises:
      StorageError: that cannot be told.
    """
    return _mode(path, follow=True) is not None


def is_there_itself(path: str) -> bool:
    """Whether there is something at a path, be it a symbolic link that leads nowhere.

    Raises:
      StorageError: that cannot be told.
    """
    return _mode(path, follow=False) is not None


def is_file(path: str) -> bool:
    """Whether there is a file at a path, symbolic links followed.

    Raises:
      StorageError: that cannot be told.
    """
    mode = _mode(path, follow=True)
    return mode is not None and stat.S_ISREG(mode)


def _mode(path: str, *, follow: bool) -> int | None:
    try:
        return os.stat(path, follow_symlinks=follow).st_mode
    except ValueError:  # no path at all
        return None
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise StorageError(
            f"it cannot be told whether {path} is there: {error.strerror}",
            path=path,
            hint="Look at the disk or the file server that it is on, and go on when that answers.",
        ) from error
