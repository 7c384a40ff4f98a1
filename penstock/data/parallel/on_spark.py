"""Parts of a node's work in the Python processes of an Apache Spark.

Only DataFrames are used, so that Spark Connect serves as well as a master does. Parts go out in
jobs of some; a few jobs are under way at once, so that no worker waits for the last of one, and
results of that many are held here. Spark itself tries a part again whose worker died.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from penstock.data.parallel.answers import check_answers, result_of
from penstock.data.parallel.parts import Work, read
from penstock.data.parallel.processes import Advance
from penstock.data.parallel.travelling import pickled
from penstock.errors import PenstockError
from penstock.project.clusters import SparkOptions

Part = TypeVar("Part")
Result = TypeVar("Result")

# Results of that many jobs may wait here.
_JOBS = 3
_FEWEST_PARTS = 8
_SCHEMA = "outcome binary"

# What users can still say otherwise.
_CONF = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    # All parts of a job are work of minutes: none is worth waiting for a nearer worker.
    "spark.locality.wait": "0s",
}


class SparkWorkers:
    """The workers of a Spark; `workers.Workers` says how they are used."""

    def __init__(self, options: SparkOptions) -> None:
        self._options = options
        self._session: Any = None
        self._is_ours = True

    @property
    def count(self) -> int:
        """As many as one likes: what a cluster has is not known before it has begun."""
        return sys.maxsize

    def map(
        self,
        work: Callable[[Part, Advance], Result],
        parts: Sequence[Part],
        *,
        named: Callable[[Part], str] = str,
        advance: Advance = lambda _: None,
    ) -> Iterator[Result]:
        """Yield the results in order; rows are counted when a job is done."""
        session = self._started()
        from pyspark import cloudpickle

        sent = Work.of(work, cloudpickle)
        size = self._parts_at_once()
        jobs = deque(parts[first : first + size] for first in range(0, len(parts), size))
        waiting: deque[tuple[Sequence[Part], Future[list[bytes]]]] = deque()
        pool = ThreadPoolExecutor(_JOBS)
        try:
            while jobs or waiting:
                while jobs and len(waiting) < _JOBS:
                    job = jobs.popleft()
                    content = [pickled(part, cloudpickle) for part in job]
                    waiting.append((job, pool.submit(_outcomes, session, sent, content)))
                job, future = waiting.popleft()
                for outcome in self._of_job(future, job, named):
                    yield result_of(read(outcome, sent.key), self._options, advance)
        finally:
            if waiting:
                self._cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    def _of_job(
        self, future: Future[list[bytes]], job: Sequence[Part], named: Callable[[Part], str]
    ) -> list[bytes]:
        try:
            return future.result()
        except PenstockError:
            raise
        except Exception as error:
            what = (
                named(job[0])
                if len(job) == 1
                else f"{named(job[0])}, or one of {len(job) - 1} more"
            )
            raise _told(error, self._options, what) from error

    def _started(self) -> Any:
        if self._session is not None:
            return self._session
        from pyspark.sql import SparkSession

        options = self._options
        running = SparkSession.getActiveSession()
        if options.master == "databricks":
            self._session = running or SparkSession.builder.getOrCreate()
            self._is_ours = False
            return self._session
        address = options.master.removeprefix("k8s://")
        if options.master.startswith(("spark://", "k8s://", "sc://")):
            check_answers(options, address)
        logging.getLogger("py4j").setLevel(logging.ERROR)
        builder = SparkSession.builder.appName(f"penstock {os.getpid()}")
        if options.master.startswith("sc://"):
            builder = builder.remote(options.master)
        else:
            builder = builder.master(options.master)
        python = options.conf.get("spark.pyspark.python")
        if python is None and options.master.startswith("local"):
            python = sys.executable
        if python is not None:
            os.environ["PYSPARK_PYTHON"] = python  # PySpark reads it from nowhere else
        for key, value in {**_CONF, **options.conf}.items():
            builder = builder.config(key, value)
        try:
            self._session = builder.getOrCreate()
        except Exception as error:
            raise _told(error, options, "begin") from error
        return self._session

    def _parts_at_once(self) -> int:
        if self._options.master.startswith("sc://"):
            return _FEWEST_PARTS * _JOBS
        return max(_FEWEST_PARTS, int(self._session.sparkContext.defaultParallelism))

    def _cancel(self) -> None:
        if self._options.master.startswith("sc://"):
            self._session.interruptAll()
        else:
            self._session.sparkContext.cancelAllJobs()

    def __enter__(self) -> SparkWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._session is not None and self._is_ours:
            self._session.stop()
        self._session = None


def _outcomes(session: Any, work: Work, parts: Sequence[bytes]) -> list[bytes]:
    """Do a part in each partition; this is called in a thread, which waits for Spark."""

    def each(batches: Iterator[Any]) -> Iterator[Any]:
        # Sent by value: a worker without Penstock should be able to say so.
        import pyarrow

        from penstock.data.parallel.parts import do

        for batch in batches:
            outcomes = [do(work, parts[place]) for place in batch.column(0).to_pylist()]
            yield pyarrow.RecordBatch.from_arrays(
                [pyarrow.array(outcomes, pyarrow.binary())], ["outcome"]
            )

    frame = session.range(0, len(parts), 1, len(parts)).mapInArrow(each, _SCHEMA)
    return [bytes(row.outcome) for row in frame.collect()]


def _told(error: Exception, options: SparkOptions, what: str) -> PenstockError:
    """Return an error of Spark's as one of ours, in the words of what it means."""
    text = str(error)
    absent = re.search(r"ModuleNotFoundError: (No module named '[\w.]+')", text)
    if absent:
        return PenstockError(
            f"a worker of {options} could not {what}: {absent[1]}",
            hint="Workers need Penstock with the same extras in the Python that "
            "spark.pyspark.python names.",
        )
    lost = re.search(r"failed (\d+) times, most recent failure: (.+)", text)
    if lost:
        return PenstockError(
            f"{options} should {what}, and its workers ended at it, {lost[1]} times: "
            f"{lost[2].strip()[:300]}",
            hint="Is there enough memory for them? What Python has of it is "
            "spark.executor.memoryOverhead.",
        )
    raised = re.findall(r"^\s*([\w.]*(?:Error|Exception): .+)$", text, re.MULTILINE)
    line = raised[-1] if raised else (text.strip().splitlines() or [type(error).__name__])[0]
    return PenstockError(f"{options} could not {what}: {line.strip()[:500]}")
