"""Which push made which version: hidden files beside the versions, one for each push.

A push that was killed after its version stood there, and before that was recorded, is made again
when its run is resumed. It then finds its own version in place of making a second one.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

from penstock.data.files import remote
from penstock.safety import containment, opening

FOLDER = ".penstock-pushes"


def version_of(base: str, push: str) -> str | None:
    """Return the version that a push has made or begun to make; `base` may be remote."""
    path = _entry(base, push)
    try:
        if not remote.is_remote(path):
            with opening.open_below(base, path, encoding="utf-8") as file:
                return file.read()
        if push in remote.names(os.path.dirname(path)):
            return remote.read_bytes(path).decode()
    except FileNotFoundError:
        pass
    return None


def write(base: str, push: str, version: str) -> None:
    """Note, before it stands there, that a push makes a version."""
    path = _entry(base, push)
    if remote.is_remote(path):
        with remote.open_file(path, "w") as file:
            file.write(version)
        return
    # A part of a number is another number.
    opening.replace_below(base, path, version, lasting=True)


def forget(base: str, versions: Collection[str]) -> None:
    """Remove the notes in a local directory that are not of these versions."""
    folder = os.path.join(base, FOLDER)
    is_ours = os.path.isdir(folder) and containment.is_inside(base, folder)
    for push in os.listdir(folder) if is_ours else ():
        if version_of(base, push) not in versions:
            with suppress(OSError):
                os.unlink(os.path.join(folder, push))


def _entry(base: str, push: str) -> str:
    return os.path.join(base, FOLDER, containment.name(push, "the name of a push"))
