"""The parts of an evaluation: some files each, whoever reads them.

What the parts are depends on the files alone, and they are merged in the order of the files, so
that nothing depends on who does them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol, TypeVar

from penstock.data.parallel.choosing import workers_with_models
from penstock.data.parallel.file_groups import file_bytes, file_groups
from penstock.data.parallel.rows_done import RowsDone
from penstock.project.clusters import Cluster

# Files are put together until they have this many bytes.
PART_BYTES = 4 << 20


class Mergeable(Protocol):
    """What is known of some rows, to which what is known of later rows can be added."""

    def merge(self, other: Any) -> None:
        """Add what is known of rows that come after these."""


Merged = TypeVar("Merged", bound=Mergeable)


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


def merge_parts(
    merged: Merged,
    work: Callable[[FilesPart, Callable[[int], None]], Merged],
    files: Sequence[str],
    cluster: Cluster | None,
    progress: Callable[..., None],
) -> None:
    """Add to `merged` what `work` returns for each part of some files, in their order."""
    done = RowsDone(progress)
    with workers_with_models(cluster, sum(map(file_bytes, files))) as workers:
        for one in workers.map(work, parts_of(files), named=FilesPart.described, advance=done.add):
            merged.merge(one)
