"""What installed packages say on standard error while a pipeline's module is imported.

TensorFlow's notices come from C++, and clients of Google's services warn of versions of Python:
none of it is about the pipeline. It goes to a log, and the rest to standard error.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.surfaces.cli.printing import echo_text

LOG = Path(".penstock", "import.log")

_PACKAGES = "|".join(
    re.escape(form)
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    for form in {folder, os.path.realpath(folder)}
)
# A record of C++, or a Python warning that is raised in an installed package: its second line is
# the line of code.
_OF_CPP = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] \S+:\d+\]"
    r"|[IWE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\]"
    r"|[IWE]0000 00:00:\d+\.\d+ +\d+ \S+:\d+\]"
    r"|WARNING: All log messages before absl::InitializeLog"
    r"|To enable the following instructions:"
)
_WARNING = re.compile(rf"(?:{_PACKAGES})/\S+:\d+: \w*Warning: ")
_LOGGED = re.compile(r"WARNING:root:crcmod package not found")


@contextlib.contextmanager
def of_imports_logged(folder: Path) -> Iterator[None]:
    """Keep such noise in the folder's log, if it has runs; the rest is said when this ends."""
    sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:
        yield  # there is no standard error
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            said.seek(0)
            lines = said.read().decode("utf-8", "replace").splitlines(keepends=True)
            noise, rest = parted(lines)
            echo_text("".join(rest), err=True)
            if noise and (folder / LOG.parent).is_dir():
                with contextlib.suppress(OSError):
                    (folder / LOG).write_text("".join(noise), encoding="utf-8")


def parted(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the lines of noise, and the others."""
    noise: list[str] = []
    rest: list[str] = []
    follows = False
    for line in lines:
        is_warning = _WARNING.match(line) is not None
        is_code = follows and line.startswith("  ")
        is_noise = is_warning or is_code or _OF_CPP.match(line) or _LOGGED.match(line)
        (noise if is_noise else rest).append(line)
        follows = is_warning
    return noise, rest
