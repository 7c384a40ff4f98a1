"""The parts of an evaluation: some files each, by the files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from penstock.data.parallel.file_groups import file_groups

# Files are put together until they have this many bytes.
PART_BYTES = 4 << 20


@dataclass(frozen=True)
class FilesPart:
    """Files that are read by one process; `first` is the number of the first among all."""

    first: int
    files: tuple[str, ...]

    def described(self) -> str:
        """Return what a worker does with it."""
        return f"evaluate the rows of {' and '.join([self.files[0], *self.files[1:][-1:]])}"


def parts_of(files: Sequence[str]) -> list[FilesPart]:
    """Return the parts that files are evaluated in, in the order of the files."""
    groups = file_groups(files, PART_BYTES)
    firsts = accumulate(map(len, groups), initial=0)
    return [FilesPart(first, group) for first, group in zip(firsts, groups, strict=False)]
