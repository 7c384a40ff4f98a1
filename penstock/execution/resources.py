"""What nodes have taken of their machine while they worked: a file a node, beside its log.

Its first line says when the work began, each other one is a sample. Whoever measures adds lines, so
that of a node that is killed everything is there until then.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import IO

from penstock.metadata.layout import open_run_file

MOST_SAMPLES = 300


@dataclass(frozen=True)
class Sample:
    """What a node's processes have taken `seconds` after it began.

    CPU seconds and the bytes that were read and written by system calls are those since then;
    memory and disk are what is taken at that time. None is what the system does not tell.
    """

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    read_bytes: int | None = None
    written_bytes: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True)
class Resources:
    """What one node has taken; `began` is in seconds since 1970. There is a sample at least."""

    began: float
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        """How long it was looked at."""
        return self.samples[-1].seconds

    @property
    def cpu_seconds(self) -> float:
        """What it took of all CPUs."""
        return max(sample.cpu_seconds for sample in self.samples)

    @property
    def peak_memory_bytes(self) -> int:
        """The most memory that it had in any sample."""
        return max(sample.memory_bytes for sample in self.samples)

    @property
    def peak_disk_bytes(self) -> int | None:
        """The most that its folders held in any sample."""
        return _greatest([sample.disk_bytes for sample in self.samples])

    @property
    def read_bytes(self) -> int | None:
        """What it read."""
        return _greatest([sample.read_bytes for sample in self.samples])

    @property
    def written_bytes(self) -> int | None:
        """What it wrote."""
        return _greatest([sample.written_bytes for sample in self.samples])

    @property
    def peak_cores(self) -> float:
        """How many CPUs were busy at most, between two samples."""
        return max((rate for _, rate in self.cores()), default=0.0)

    def totals(self) -> dict[str, float | None]:
        """Return sums and peaks by their names."""
        return {name: getattr(self, name) for name in _TOTALS}

    def cores(self) -> tuple[tuple[float, float], ...]:
        """Return how many CPUs were busy, by seconds."""
        return self._rates(lambda sample: sample.cpu_seconds)

    def reading(self) -> tuple[tuple[float, float], ...]:
        """Return how many bytes a second were read, by seconds."""
        return self._rates(lambda sample: sample.read_bytes)

    def writing(self) -> tuple[tuple[float, float], ...]:
        """Return how many bytes a second were written, by seconds."""
        return self._rates(lambda sample: sample.written_bytes)

    def memory(self) -> tuple[tuple[float, float], ...]:
        """Return the memory that was taken, by seconds."""
        return tuple((sample.seconds, sample.memory_bytes) for sample in self.samples)

    def disk(self) -> tuple[tuple[float, float], ...]:
        """Return what its folders held, by seconds."""
        return tuple((s.seconds, s.disk_bytes) for s in self.samples if s.disk_bytes is not None)

    def _rates(self, total: Callable[[Sample], float | None]) -> tuple[tuple[float, float], ...]:
        """Return by how much a total has grown a second, at the ends of each span."""
        rates: list[tuple[float, float]] = []
        known = [(s.seconds, of) for s in self.samples if (of := total(s)) is not None]
        for (begin, before), (end, after) in _spans(known):
            # A process that nobody waited for takes along what it had counted.
            rate = max(0.0, after - before) / (end - begin)
            rates += [(begin, rate), (end, rate)]
        return tuple(rates)


_TOTALS = (
    "seconds",
    "cpu_seconds",
    "peak_cores",
    "peak_memory_bytes",
    "read_bytes",
    "written_bytes",
    "peak_disk_bytes",
)

# Over less than this a rate tells of the clocks' grain, not of the work.
_LEAST_SPAN = 0.1


def _spans(
    points: Sequence[tuple[float, float]],
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    before = points[0] if points else (0.0, 0.0)
    for point in points[1:]:
        if point[0] - before[0] >= _LEAST_SPAN:
            yield before, point
            before = point


def _greatest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def begin(path: str, began: float) -> None:
    """Begin the file of a node's try; what an earlier one has taken goes.

    Raises:
      OSError: it cannot be written, as by the functions below.
    """
    with _locked(path, "w") as file:
        file.write(json.dumps({"began": round(began, 3)}) + "\n")


def add(path: str, sample: Sample) -> None:
    """Add a sample to the file of a node."""
    with _locked(path, "a") as file:
        file.write(_line(sample))


def thin(path: str) -> int:
    """Make one of every two samples after the first, and return how many are left.

    What is kept of two is the greater memory and disk, so that no peak is lost.
    """
    with _locked(path, "r+") as file:
        head, *lines = file.read().splitlines()
        first, *others = [sample for line in lines if (sample := _sample(line)) is not None]
        pairs = [others[index : index + 2] for index in range(0, len(others), 2)]
        kept = [first, *(_joined(pair) for pair in pairs)]
        file.seek(0)
        file.write(head + "\n" + "".join(_line(sample) for sample in kept))
        file.truncate()
    return len(kept)


def read_resources(path: str) -> Resources | None:
    """Read what a node has taken; None where that was not measured."""
    try:
        with open_run_file(path, encoding="utf-8") as file:
            head, *lines = file.read().splitlines()
        began = float(json.loads(head)["began"])
    except (OSError, ValueError, KeyError, TypeError):  # it is about to be begun
        return None
    samples = [sample for line in lines if (sample := _sample(line)) is not None]
    samples.sort(key=lambda sample: sample.seconds)
    return Resources(began, tuple(samples)) if samples else None


def _joined(pair: Sequence[Sample]) -> Sample:
    last = pair[-1]
    return Sample(
        last.seconds,
        last.cpu_seconds,
        max(sample.memory_bytes for sample in pair),
        last.read_bytes,
        last.written_bytes,
        _greatest([sample.disk_bytes for sample in pair]),
    )


def _line(sample: Sample) -> str:
    return json.dumps(astuple(sample), separators=(",", ":")) + "\n"


def _sample(line: str) -> Sample | None:
    try:
        return Sample(*json.loads(line))
    except (ValueError, TypeError):  # the end of a file whose writer was killed
        return None


@contextmanager
def _locked(path: str, mode: str) -> Iterator[IO[str]]:
    """Open a file that the worker and who looks at it write both."""
    with open_run_file(path, mode, encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
