"""A part of some work as it is sent to a worker of a cluster, and what comes back of it.

The function for the work is pickled by the cluster's own pickler, which takes what a user has
written by value. What it returns or raises comes back as a value, so that no engine tries an error
of the user's again. It is signed with a key that only this work's workers are given, since it is
unpickled here.
"""

from __future__ import annotations

import hmac
import os
import pickle
import platform
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.data.parallel.travelling import pickled
from penstock.errors import PenstockError

_DIGEST = "sha256"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Work:
    """What workers are given: the pickled function, the key for what they answer, and who asks.

    A worker needs the same version of Penstock and of Python as `version` and `python` say.
    """

    function: bytes
    key: bytes
    version: str
    python: str

    @classmethod
    def of(cls, function: Callable[..., Any], pickler: Any) -> Work:
        """Make it of a function that takes a part and one to say by how much it has advanced."""
        from penstock import __version__

        return cls(pickled(function, pickler), os.urandom(32), __version__, _python())


@dataclass(frozen=True)
class Done:
    """A part is done: what the function has returned, and by how much it has advanced."""

    result: Any
    advanced: int


@dataclass(frozen=True)
class Failed:
    """The function has raised `error` on `host`; `details` is the traceback there."""

    error: BaseException
    details: str
    host: str


def do(work: Work, part: bytes) -> bytes:
    """Do a part where this is called; return a signed outcome, whatever comes of it."""
    advanced = 0

    def advance(by: int) -> None:
        nonlocal advanced
        advanced += by

    outcome: Done | Failed
    try:
        _check_versions(work)
        result = pickle.loads(work.function)(pickle.loads(part), advance)
        outcome = Done(result, advanced)
    except Exception as error:
        outcome = Failed(error, traceback.format_exc(), socket.gethostname())
    return sign(_dumped(outcome), work.key)


def sign(content: bytes, key: bytes) -> bytes:
    """Return content with its signature before it."""
    return hmac.digest(key, content, _DIGEST) + content


def read(signed: bytes, key: bytes) -> Done | Failed:
    """Return an outcome that a worker has signed.

    Raises:
      PenstockError: it was signed with another key.
    """
    signature, content = signed[:_DIGEST_BYTES], signed[_DIGEST_BYTES:]
    if not hmac.compare_digest(signature, hmac.digest(key, content, _DIGEST)):
        raise PenstockError("an answer came from no worker of this node's, and was not read")
    outcome = pickle.loads(content)
    assert isinstance(outcome, Done | Failed), "nothing else is signed"
    return outcome


def _dumped(outcome: Done | Failed) -> bytes:
    try:
        dumped = pickle.dumps(outcome)
        pickle.loads(dumped)  # not all exceptions that can be pickled can be made again
        return dumped
    except Exception:
        if isinstance(outcome, Done):
            raise
        error = PenstockError(f"{type(outcome.error).__name__}: {outcome.error}")
        return pickle.dumps(Failed(error, outcome.details, outcome.host))


def _check_versions(work: Work) -> None:
    from penstock import __version__

    if (work.version, work.python) != (__version__, _python()):
        raise PenstockError(
            f"a worker on {socket.gethostname()} has Penstock {__version__} and Python {_python()} "
            f"({sys.executable}), and the node Penstock {work.version} and Python {work.python}",
            hint="Workers need the same versions as those who ask them.",
        )


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
