"""What a measurement is asked for: which sizes, how often, and where its data are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("tfx", "tensorflow", "tensorflow-transform", "apache-beam", "pyarrow", "ml-metadata")


@dataclass(frozen=True)
class Plan:
    """`rows` are the only sizes that are wanted, and `repeats` of all; each part has its own."""

    data: Path
    rows: tuple[int, ...] | None = None
    repeats: int | None = None

    def sizes(self, usual: dict[int, int]) -> dict[int, int]:
        """Return sizes with how often each is measured, of those that are usual."""
        wanted = usual if self.rows is None else {rows: usual.get(rows, 1) for rows in self.rows}
        return {rows: self.times(often) for rows, often in wanted.items()}

    def times(self, usual: int) -> int:
        """Return how often something is measured."""
        return usual if self.repeats is None else self.repeats


def versions() -> dict[str, str]:
    """Return the versions of what does the work in both TFX and Penstock."""
    return {name: version(name) for name in LIBRARIES}
