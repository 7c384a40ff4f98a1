"""What an error of a Beam job's means: that of a worker, out of Beam's text around it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from traceback import FrameSummary
from typing import TypeGuard

from penstock import errors
from penstock.errors import DataError, PenstockError, UserCodeError
from penstock.project import user_code

# Runners begin the line as they like.
_BEGIN = re.compile(r"^(?:\S.*)?Traceback \(most recent call last\):\n", re.MULTILINE)
_END = re.compile(
    r"\n\n(?:During handling of the above exception|The above exception was the direct cause)"
)
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+), in (.+)$', re.MULTILINE)
_STEP = re.compile(r"\s*\[while running '([^']+)'\]\.?")
_NO_FILE = re.compile(r"No such file or directory: '([^']+)'")
_OURS = f"{errors.__name__}."
# What gRPC says of a server that is gone, and Beam of a worker.
_GONE = ("UNAVAILABLE", "Socket closed", "failed to connect to all addresses")
_WORKER_GONE = re.compile(
    r"(?i)worker (?:subprocess )?(?:exited|terminated|disconnected)|SDK harness.*(?:exit|disconn)"
    r"|StatusCode\.CANCELLED|worker handler .*(?:closed|died)"
)


@dataclass(frozen=True)
class Raised:
    """An exception in a traceback's text: the name of its type, what it says, and its frames."""

    kind: str
    text: str
    frames: tuple[FrameSummary, ...]


def told(error: Exception, endpoint: str | None) -> Exception:
    """Return the error to raise in the place of what Beam has raised."""
    text = str(error)
    if _STEP.search(text) and isinstance(error.__context__, Exception):
        return error.__context__  # in this process it is there as it was
    if isinstance(error, PenstockError):
        return error
    raised = list(_raised(text))
    if not raised:
        return _of_servers(text, endpoint) or error
    cause = _cause(raised)
    message = _STEP.sub("", cause.text)
    lacking = _NO_FILE.search(message)
    if lacking and os.path.exists(lacking[1]):
        return DataError(
            "the file is here, and not where a worker of Beam's is, which should have read it",
            path=lacking[1],
            hint="Workers read the data and write below the pipeline's root: both should be in a "
            "folder that all machines share.",
        )
    if cause.kind.startswith(_OURS):
        kind = getattr(errors, cause.kind.removeprefix(_OURS), PenstockError)
        told_as = next((one for one in (DataError, UserCodeError) if issubclass(kind, one)), None)
        return (told_as or PenstockError)(message)
    by_user = user_code.of_frames(f"{cause.kind}: {message}", cause.frames)
    if by_user is not None:
        return by_user
    if (servers := _of_servers(text, endpoint)) is not None:
        return servers
    step = _STEP.search(text)
    where = f" in the step {step[1]!r}" if step else ""
    return PenstockError(f"Beam's job failed{where}: {cause.kind}: {message}")


def is_of_an_ended_worker(error: BaseException | None) -> TypeGuard[Exception]:
    """Whether Beam says by an error that a worker has ended."""
    return isinstance(error, Exception) and _WORKER_GONE.search(str(error)) is not None


def _raised(text: str) -> Iterator[Raised]:
    """Yield the exceptions of a text, in its order; one that only quotes others is none."""
    blocks = _BEGIN.split(text)[1:]
    for block in blocks:
        block = _END.split(block)[0]
        lines = block.split("\n")
        first = next((at for at, line in enumerate(lines) if line[:1] not in (" ", "")), None)
        if first is None:
            continue
        kind, _, said = "\n".join(lines[first:]).strip().partition(": ")
        frames = tuple(
            FrameSummary(found[1], int(found[2]), found[3]) for found in _FRAME.finditer(block)
        )
        yield Raised(kind, said, frames)


def _cause(raised: list[Raised]) -> Raised:
    """Return what Beam has raised again with the name of a step, as it was; or what was last."""
    for before, after in pairwise(raised):
        if _STEP.search(after.text) and not _STEP.search(before.text):
            return before
    return raised[-1]


def _of_servers(text: str, endpoint: str | None) -> PenstockError | None:
    """Return an error for a server or a worker that is gone, if it was that."""
    if _WORKER_GONE.search(text):
        return PenstockError(
            "a worker of Beam's ended before it had done its work",
            hint="Its own log says why; often it is a lack of memory. The node's log has all that "
            "Beam says.",
        )
    if any(said in text for said in _GONE):
        return PenstockError(
            f"Beam's job service at {endpoint} no longer answers",
            hint="Is it running? What the job has done so far is lost.",
        )
    if " in state CANCELLED" in text:
        return PenstockError("Beam's job was canceled by somebody else")
    return None
