"""Who it is that runs us."""

from __future__ import annotations

import getpass
import os
import socket


def user_name() -> str:
    """Return the user's name, or the number of a user without one, as a container's may be."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def user_and_machine() -> str:
    """Return who runs us and where, as `ann@build-7`."""
    return f"{user_name()}@{socket.gethostname()}"
