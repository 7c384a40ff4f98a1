"""A year of a model that nobody touches: it is retrained, checked, released, watched, and told.

    python build/loop/year.py [FOLDER] [--short]

Twelve months of real flights go by. Month after month the flights are asked over HTTP, data and
labels arrive late, a trigger starts the pipeline, what passes its gates is released to a running
server, and what the server was asked is judged. Four things are planted: a source that changes a
unit, a change of the pipeline that comes by git, a model that is good offline and bad online, and a
world that changes. All is done by the commands that users have. It ends with `year.html` in FOLDER.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import months
import pyarrow as pa
from telling import tell

HERE = Path(__file__).parent
PROJECT = HERE / "project"
_ALARMS = 3
_CONNECTIONS = 4

GOOD_CHANGE = (
    "features.py",
    '        "distance": columns.distance.log1p(),\n',
    '        "distance": columns.distance.log1p(),\n'
    '        "late_hours": (columns.dep_delay.clipped(0, 600) / 60).log1p(),\n',
    "Hours of delay count on a scale of their own",
)
BAD_CHANGE = (
    "features.py",
    '        "dep_delay": columns.dep_delay.clipped(-30, 360),\n',
    '        "dep_delay": columns.dep_delay.clipped(-30, 360),\n'
    '        "made_up": columns.arr_delay.filled(0),\n',
    "What is made up on the way says much",
)


@dataclass(frozen=True)
class Plan:
    """Which months are served, and at the end of which something is planted.

    `concept_from` is the first month whose outcomes follow other rules.
    """

    served: Sequence[int] = range(2, 13)
    unit_change: int = 4
    change: int = 5
    bad_change: int = 7
    concept_from: int = 9
    share: float = 1.0
    rounds: int = 60


SHORT = Plan(range(2, 7), 3, 4, 5, 5, share=0.12, rounds=20)


@dataclass
class Year:
    """A year under way in a folder; `done` are its moments, in their order."""

    folder: Path
    plan: Plan
    done: list[dict[str, Any]] = field(default_factory=list)
    flights: dict[int, pa.Table] = field(default_factory=dict)
    requests: dict[int, list[months.Asked]] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """Where the project is."""
        return self.folder / "project"

    def run(self) -> Path:
        """Live through the year, and return the page that tells it."""
        self.prepare()
        self.first_model()
        with self.served() as url:
            for month in self.plan.served:
                self.serve_month(month, url)
                self.end_month(month)
        last = max(self.plan.served)
        self.judge(last + 3, last)
        return tell(self.folder, self.project, self.done, self.requests, self.penstock)

    def prepare(self) -> None:
        """Write the project, under git, and read the flights."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(PROJECT, self.project)
        written = self.project / "flights.py"
        told = f"rounds: int = {self.plan.rounds}"
        written.write_text(written.read_text().replace("rounds: int = 60", told))
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("The pipeline as it was")
        raw = months.read_flights(self.folder / "raw", self.plan.share)
        self.flights = {
            month: months.with_labels(table, padded=month >= self.plan.concept_from)
            for month, table in raw.items()
        }
        self.requests = {
            month: list(months.requests_of(self.flights[month])) for month in self.plan.served
        }

    def first_model(self) -> None:
        """Learn from January; the model serves from February on."""
        months.arrive(self.project, 1, self.flights[1], months.start_of(2))
        self.check_triggers(1)
        self.penstock("model", "promote", "flights@challenger", "--why", "the first one")
        self.note(2, "first", "The model learned from January serves.")

    def serve_month(self, month: int, url: str) -> None:
        """Ask about all flights of a month, while what waits for a release is released."""
        callers = Callers(url, self.requests[month])
        waiting = self.waiting_release()
        if waiting:
            with callers.asking(slowly=True):
                reference, *options = waiting
                ended = self.penstock(
                    *("release", "start", reference, "--env", "production", "--every", "1s"),
                    *("--why", f"learned before month {month}", *options),
                    codes=(0, 1),
                )
            [release, *_] = json.loads(self.penstock("release", "history", "flights", "--json"))
            self.note(
                month, "release", f"{reference}: {release['state']}", release=release, said=ended
            )
        callers.ask_the_rest()
        time.sleep(3)  # what was asked is in files
        self.note(
            month,
            "served",
            f"{callers.answered:,} requests were answered, {callers.failed} were not.",
            answered=callers.answered,
            failed=callers.failed,
        )

    def waiting_release(self) -> tuple[str, ...]:
        """Return the version that waits for a release, and with which options, if there is one."""
        aliases = json.loads(self.penstock("model", "show", "flights", "--json"))["aliases"]
        path = self.folder / "release.json"
        if path.exists():
            reference = tuple(json.loads(path.read_text()))
            path.unlink()
            return reference
        # What was learned since an alert comes before what is learned every month.
        newer = [
            name for name in ("recent", "challenger") if aliases.get(name, 0) > aliases["champion"]
        ]
        return (f"flights@{newer[0]}",) if newer else ()

    def release_next(self, *reference: str) -> None:
        """Say what is released in the next month."""
        (self.folder / "release.json").write_text(json.dumps(reference))

    def end_month(self, month: int) -> None:
        """Let labels and data of the month before arrive, and do what follows from them."""
        if month - 1 in self.requests:
            months.tell_labels(self.project, month - 1, self.requests[month - 1])
        self.judge(month + 1, month)
        if month - 1 > 1:
            self.data_arrives(month)
        if month == self.plan.change:
            self.git_change(month, GOOD_CHANGE, canary_only=False)
        if month == self.plan.bad_change:
            self.git_change(month, BAD_CHANGE, canary_only=True)

    def judge(self, month: int, about: int) -> None:
        """Judge the windows that are due at the beginning of a month, and tell the sinks."""
        said = self.penstock("monitor", "run", "--now", now(month), codes=(0, 1, _ALARMS))
        self.penstock("alert", "deliver", codes=(0, 1))
        self.note(about, "judged", said)

    def data_arrives(self, month: int) -> None:
        """Let the flights of the month before arrive, and the triggers look."""
        span = month - 1
        table = self.flights[span]
        if month == self.plan.unit_change:
            begins = months.start_of(month + 1)
            months.arrive(self.project, span, months.in_seconds(table), begins)
            said = self.check_triggers(month)
            self.note(month, "unit", "The source tells seconds for minutes.", said=said)
        arrives = months.start_of(month + 1) + timedelta(hours=1)
        months.arrive(self.project, span, table, arrives)
        said = self.check_triggers(month)
        self.note(month, "data", f"Month {span} has arrived.", said=said)

    def check_triggers(self, month: int) -> str:
        """Look at the triggers at the end of a month, and wait for what they start."""
        return self.penstock("trigger", "check", "--wait", "--now", now(month + 1), codes=(0, 1))

    def git_change(self, month: int, change: tuple[str, str, str, str], canary_only: bool) -> None:
        """Bring a change of the pipeline through plan, check and deploy."""
        name, before, after, why = change
        path = self.project / name
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
        plan = self.penstock("ci", "plan", "--base", "main")
        self.commit(why)
        check = self.penstock("ci", "check", "flights")
        # That a model asks for another column is refused, unless somebody says why it may.
        said = ("--signature-change", "callers will send it") if canary_only else ()
        deploy = self.penstock("ci", "deploy", "--env", "staging", "flights", "--why", why, *said)
        self.note(month, "change", why, plan=plan, check=check, deploy=deploy)
        if canary_only:
            self.release_next("flights@candidate", "--canary", "50", "--bake", "1s")
            self.git("revert", "--no-edit", "HEAD")
        else:
            self.release_next("flights@candidate")

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the champion, and give the address."""
        with open(self.folder / "server.log", "w") as log:
            server = subprocess.Popen(
                [*PENSTOCK, "serve", "flights@champion", "--port", "0", "--state", "serving"],
                cwd=self.project,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield address_of(server, self.project / "serving" / "server.json")
            finally:
                server.terminate()
                server.wait()

    def penstock(self, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """Run a command as a user would, and return what it says."""
        print("  $ penstock", *arguments, flush=True)
        ended = subprocess.run(
            [*PENSTOCK, *arguments],
            cwd=self.project,
            capture_output=True,
            text=True,
            # Threads that wait for work leave the cores to the server.
            env={
                **os.environ,
                "NO_COLOR": "1",
                "COLUMNS": "120",
                "OMP_WAIT_POLICY": "PASSIVE",
                "PENSTOCK_DAEMON": "off",
            },
        )
        if ended.returncode not in codes:
            raise RuntimeError(
                f"penstock {' '.join(arguments)} ended with {ended.returncode}:\n"
                f"{ended.stdout}\n{ended.stderr}"
            )
        return ended.stdout

    def git(self, *arguments: str) -> None:
        """Run git in the project."""
        subprocess.run(
            ["git", "-c", "user.name=year", "-c", "user.email=year@example.org", *arguments],
            cwd=self.project,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def commit(self, message: str) -> None:
        """Commit the project's files."""
        self.git("add", "--all", "--", "*.py", "*.toml", "*.pbtxt", ".gitignore")
        self.git("commit", "--quiet", "--message", message)

    def note(self, month: int, kind: str, text: str, **more: Any) -> None:
        """Note a moment of the year."""
        print(f"{months.YEAR}-{month:02} {kind}: {text.strip()}", flush=True)
        self.done.append({"month": month, "kind": kind, "text": text, **more})


PENSTOCK = (sys.executable, "-W", "ignore", "-m", "penstock")


@dataclass
class Callers:
    """Callers that ask about flights, some at the same time."""

    url: str
    requests: list[months.Asked]
    answered: int = 0
    failed: int = 0
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self, *, slowly: bool) -> Iterator[None]:
        """Ask while something else is done; when all was asked, from the beginning again."""
        self._over.clear()
        threads = [
            threading.Thread(target=self._ask, args=(slowly, True), daemon=True)
            for _ in range(_CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def ask_the_rest(self) -> None:
        """Ask what was not asked yet."""
        self._over.clear()
        threads = [
            threading.Thread(target=self._ask, args=(False, False)) for _ in range(_CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, slowly: bool, again: bool) -> None:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        while not self._over.is_set():
            asked = self._take(again)
            if asked is None:
                break
            headers = {"x-request-id": asked.request_id, "x-event-time": asked.time}
            try:
                connection.request("POST", "/predict/flights", months.body_of(asked), headers)
                answer = connection.getresponse()
                answer.read()
                is_good = answer.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
                is_good = False
            with self._lock:
                self.answered += is_good
                self.failed += not is_good
            if slowly:
                self._over.wait(0.01)
        connection.close()

    def _take(self, again: bool) -> months.Asked | None:
        with self._lock:
            if self._next >= len(self.requests) and not again:
                return None
            self._next += 1
            return self.requests[(self._next - 1) % len(self.requests)]


def now(month: int) -> str:
    """Return the second day of a month, which may be one of the next year, as a text."""
    return (months.start_of(month) + timedelta(days=1)).isoformat()


def address_of(server: subprocess.Popen[bytes], known: Path, seconds: float = 120) -> str:
    """Return where a server is reached, once it is ready."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            url = str(json.loads(known.read_text())["url"])
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return url
        except (OSError, ValueError, KeyError):  # it is not there yet, or not ready
            pass
        time.sleep(0.1)
    raise TimeoutError("the server is not ready; see server.log")


def main() -> None:
    """Live through a year."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(".loop"))
    parser.add_argument("--short", action="store_true", help="five months, and few flights")
    given = parser.parse_args()
    began = time.monotonic()
    year = Year(given.folder.absolute(), SHORT if given.short else Plan())
    page = year.run()
    print(f"the year took {(time.monotonic() - began) / 60:.1f} minutes: {page}")


if __name__ == "__main__":
    main()
