"""The workers of a run or a pod: jobs are started, stopped, and report, by their tokens."""

from __future__ import annotations

import signal
from multiprocessing.connection import wait

from penstock.execution.workers.jobs import Failed, Job, Report, Succeeded
from penstock.execution.workers.nursery import Nurseries, Nursery
from penstock.project.retrying import CRASH


class Pool:
    """Gives jobs to nurseries, which are started when the first job needs them.

    `preload` are the modules that jobs will need; with `apart`, jobs that need none have a nursery
    of their own, which is ready at once. `fork` makes nurseries of this process.
    """

    def __init__(
        self,
        nurseries: Nurseries,
        preload: tuple[str, ...],
        log_path: str,
        *,
        fork: bool = False,
        apart: bool = True,
    ) -> None:
        self._nurseries = nurseries
        self._preload = preload
        self._log_path = log_path
        self._fork = fork
        self._apart = apart
        self._at: dict[str, Nursery] = {}

    def warm_up(self) -> None:
        """Start the nursery of the jobs that need modules, so that it can import them."""
        if self._preload or not self._apart:
            self._nursery(self._preload)

    def start(self, token: str, job: Job) -> None:
        """Start a job; its reports come under the token."""
        nursery = self._nursery(self._preload if job.needs or not self._apart else ())
        self._at[token] = nursery
        nursery.submit(token, job)

    def stop(self, token: str, number: int = signal.SIGTERM) -> None:
        """Send a signal to a job's worker and all that it has started."""
        if token in self._at:
            self._at[token].stop(token, number)

    def forget(self, token: str) -> None:
        """Hear no more of a job."""
        self._at.pop(token, None)

    def reports(self, timeout: float) -> list[tuple[str, Report]]:
        """Return the reports that come within some seconds; the last of each job says its end."""
        by_connection = {nursery.connection: nursery for nursery in self._nurseries.all()}
        arrived: list[tuple[str, Report]] = []
        for source in wait(list(by_connection), timeout):
            nursery = by_connection[source]  # type: ignore[index]  # wait returns what it was given
            try:
                arrived += nursery.receive()
            except (EOFError, OSError):
                self._nurseries.drop(nursery)
                died = Failed("the process that starts its workers was killed", failure=CRASH)
                arrived += [(token, died) for token, at in self._at.items() if at is nursery]
        return [(token, report) for token, report in arrived if self._awaited(token, report)]

    def close(self) -> None:
        """End all workers at once."""
        self._nurseries.close()

    def release(self) -> None:
        """End what only this pool's jobs have used, unless some are still being done."""
        if self._at or not self._nurseries.lasting:
            self._nurseries.close()

    def _awaited(self, token: str, report: Report) -> bool:
        """Whether a job has not ended yet: the end of its process comes after its result."""
        if token not in self._at:
            return False
        if isinstance(report, (Succeeded, Failed)):
            self.forget(token)
        return True

    def _nursery(self, preload: tuple[str, ...]) -> Nursery:
        return self._nurseries.get(preload, self._log_path, fork=self._fork)
