"""What nodes have printed: a file a node, in the folder of its run."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime

from penstock.metadata.layout import open_run_file

# Stands in a node's log before a traceback; what follows is not shown with the end of the log.
WHOLE_TRACEBACK = "The whole traceback:"
# A log's end is looked for in so much of it, and of a line so much is shown.
_MOST_BYTES, _LONGEST_LINE = 4 * 2**20, 4000
# Stands between what one try at a node has printed and what the next one does.
NEXT_TRY = "--- the next try at this node, of "


def begin_try(path: str) -> None:
    """Mark in a node's log that what follows is of another try than what is there already."""
    try:
        if os.path.getsize(path):
            with open_run_file(path, "a", encoding="utf-8") as log:
                log.write(f"\n{NEXT_TRY}{datetime.now():%Y-%m-%d %H:%M:%S}\n")
    except OSError:  # there is none yet, or it cannot be written, which its worker will tell
        return


def add_line(path: str, text: str) -> None:
    """Write a line into a node's log, before its work begins."""
    with contextlib.suppress(OSError), open_run_file(path, "a", encoding="utf-8") as log:
        log.write(f"{text}\n")


def log_tail(path: str, lines: int = 20) -> str:
    """Return the last lines that a node's last try has printed; of a traceback nothing."""
    try:
        printed = _end_of(path)
    except OSError:
        return ""
    tries = [index for index, line in enumerate(printed) if line.startswith(NEXT_TRY)]
    printed = printed[tries[-1] + 1 :] if tries else printed
    marks = [index for index, line in enumerate(printed) if line.rstrip() == WHOLE_TRACEBACK]
    return "".join((printed[: marks[-1]] if marks else printed)[-lines:])


def _end_of(path: str) -> list[str]:
    """Return the last lines of a log, long ones cut off: a log may be larger than the memory."""
    with open_run_file(path, "rb") as log:
        begin = max(0, os.fstat(log.fileno()).st_size - _MOST_BYTES)
        log.seek(begin)
        lines = log.read(_MOST_BYTES).decode("utf-8", "replace").splitlines(keepends=True)
    return [_cut(line) for line in lines[bool(begin) :]]


def _cut(line: str) -> str:
    more = len(line) - _LONGEST_LINE
    return line if more <= 0 else f"{line[:_LONGEST_LINE]} ... and {more:,} more characters\n"


def last_lines(path: str, lines: int = 3) -> str:
    """Return the last lines of a node's log in one; empty ones are left out."""
    texts = [line.strip() for line in log_tail(path).splitlines() if line.strip()]
    return " / ".join(texts[-lines:])
