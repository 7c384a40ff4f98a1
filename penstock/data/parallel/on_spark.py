"""Parts of a node's work in the Python processes of an Apache Spark.

Only DataFrames are used, so that Spark Connect serves as well as a master does. Parts go out in
jobs of some; a few jobs are under way at once, so that no worker waits for the last of one, and
results of that many are held here. Spark itself tries a part again whose worker died.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from penstock.data.parallel.answers import check_answers
from penstock.data.parallel.parts import Work
from penstock.data.parallel.travelling import pickled
from penstock.data.parallel.workers import ClusterWorkers
from penstock.errors import PenstockError
from penstock.project.clusters import SparkOptions

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


def configuration(cluster: SparkOptions) -> dict[str, str]:
    """Return what the session is configured with: what the user says, before what suits it."""
    if cluster.master.startswith("sc://"):
        return dict(cluster.conf)  # all else is the server's own, and it says so for each
    found = {}
    if cluster.master.startswith("k8s://"):
        # Executors call a pod back by its address: its name is known to nobody.
        found["spark.driver.host"] = socket.gethostbyname(socket.gethostname())
    return {**_CONF, **found, **cluster.conf}


class SparkWorkers(ClusterWorkers[SparkOptions]):
    """The workers of a Spark; rows are counted when a job is done."""

    def __init__(self, cluster: SparkOptions) -> None:
        super().__init__(cluster)
        self._session: Any = None
        self._is_ours = True

    def _pickler(self) -> Any:
        from pyspark import cloudpickle

        return cloudpickle

    def _answers(
        self, work: Work, parts: Sequence[Any], named: Callable[[Any], str]
    ) -> Iterator[bytes]:
        pickler, size = self._pickler(), self._parts_at_once()
        jobs = deque(parts[first : first + size] for first in range(0, len(parts), size))
        waiting: deque[tuple[Sequence[Any], Future[list[bytes]]]] = deque()
        pool = ThreadPoolExecutor(_JOBS)
        is_done = False
        try:
            while jobs or waiting:
                while jobs and len(waiting) < _JOBS:
                    job = jobs.popleft()
                    content = [pickled(part, pickler) for part in job]
                    future = pool.submit(_outcomes, self._session, work, content)
                    waiting.append((job, future))
                yield from self._of_job(*waiting[0], named)
                waiting.popleft()
            is_done = True
        finally:
            if not is_done:
                self._cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    def _of_job(
        self, job: Sequence[Any], future: Future[list[bytes]], named: Callable[[Any], str]
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
            raise _told(error, self._cluster, what) from error

    def _start(self) -> None:
        if self._session is not None:
            return
        from pyspark.sql import SparkSession

        options = self._cluster
        running = SparkSession.getActiveSession()
        if options.master == "databricks":
            self._session = running or SparkSession.builder.getOrCreate()
            self._is_ours = False
            return
        check_answers(options)
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
        for key, value in configuration(options).items():
            builder = builder.config(key, value)
        try:
            self._session = builder.getOrCreate()
        except Exception as error:
            raise _told(error, options, "begin") from error

    def _parts_at_once(self) -> int:
        if self._cluster.master.startswith("sc://"):
            return _FEWEST_PARTS * _JOBS
        return max(_FEWEST_PARTS, int(self._session.sparkContext.defaultParallelism))

    def _cancel(self) -> None:
        if self._cluster.master.startswith("sc://"):
            self._session.interruptAll()
        else:
            self._session.sparkContext.cancelAllJobs()

    def _stop(self) -> None:
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
