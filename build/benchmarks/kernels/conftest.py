"""What the kernels are measured on, each made once: generated rides and their files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.data.coding import examples
from penstock.data.parquet import ParquetWriter
from penstock.data.records import write_serialized

sys.path.insert(0, str(Path(__file__).parents[1]))

_ROWS_A_SECOND = pytest.StashKey[dict[str, float]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let fewer rows be asked for, to see that the kernels run."""
    parser.addoption("--rows", type=int, default=20_000, help="rides to measure on")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what is measured."""
    config.stash[_ROWS_A_SECOND] = {}


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print rows a second, by the median of a benchmark's rounds."""
    measured = config.stash[_ROWS_A_SECOND]
    if measured:
        terminalreporter.section("rows a second")
    for name, rate in measured.items():
        terminalreporter.write_line(f"{name:<50} {rate:>15,.0f}")


@pytest.fixture
def measure(benchmark: Any, rows: int, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run a kernel that works on all rows as often as the benchmark wants; return its result."""

    def run(kernel: Callable[..., Any], *arguments: Any) -> Any:
        benchmark.extra_info["rows"] = rows
        result = benchmark(kernel, *arguments)
        if benchmark.stats is not None:  # it is None where benchmarks are disabled
            rate = rows / benchmark.stats.stats.median
            benchmark.extra_info["rows_a_second"] = rate
            request.config.stash[_ROWS_A_SECOND][request.node.name] = rate
        return result

    return run


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> int:
    """The number of rides."""
    return int(request.config.getoption("--rows"))


@pytest.fixture(scope="session")
def batch(rows: int) -> pa.RecordBatch:
    """Flat columns of all rides."""
    from rides import rides

    return rides(rows).combine_chunks().to_batches()[0]


@pytest.fixture(scope="session")
def records(batch: pa.RecordBatch) -> list[bytes]:
    """Serialized tf.Examples of all rides."""
    return examples.encode(batch, null_as_empty=True)


@pytest.fixture(scope="session")
def csv_file(rows: int, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CSV file of all rides."""
    from rides import write_rides

    return str(write_rides(tmp_path_factory.mktemp("csv"), rows) / "rides.csv")


@pytest.fixture(scope="session")
def tfrecord_file(records: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A TFRecord file of all rides, compressed."""
    folder = tmp_path_factory.mktemp("tfrecord")
    [path] = write_serialized(str(folder), "data_tfrecord", records)
    return path


@pytest.fixture(scope="session")
def parquet_file(batch: pa.RecordBatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Parquet file of all rides."""
    path = tmp_path_factory.mktemp("parquet") / "data_parquet-00000-of-00001.parquet"
    with ParquetWriter(path, batch.schema) as writer:
        writer.write(batch)
    return str(path)
