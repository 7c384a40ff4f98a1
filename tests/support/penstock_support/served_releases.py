"""A project whose registered classifiers serve behind a real server, under load."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from penstock import registry
from penstock.execution import contents
from penstock.metadata.store import connect, connection_config
from penstock.models import save_model
from penstock.project.config import read_config
from penstock_support.histories import History
from penstock_support.prediction_server import PredictionServer, start_server, wait_for
from penstock_support.registered import trained

MODEL = "people"

# Machines of tests are busy: latencies are compared where they differ by much.
CONFIG = """
[profiles.default]
pipeline_root = "root"
metadata = "metadata.sqlite"
[deployments.people]
[deployments.people.local]
state = "state"
[deployments.people.gates.latency]
ratio = 8
seconds = 0.02
{table}
"""


def people(rows: int = 200) -> pa.Table:
    random = np.random.default_rng(5)
    return pa.table(
        {
            "age": pa.array(random.integers(18, 90, rows), pa.int64()),
            "income": pa.array(random.lognormal(10, 1, rows), pa.float64()),
        }
    )


def save(folder: Path, kind: str) -> None:
    """Save a classifier: a good one, one that drifts, is slow, or asks for another column."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = people(60_000 if kind == "slow" else 200)
    if kind == "other columns":
        rows = rows.append_column("height", rows.column("age"))
    older = np.asarray(rows.column("age")) > 50
    labels = np.where(older ^ (kind == "drifting"), "stays", "leaves")
    last = KNeighborsClassifier(2000, algorithm="brute") if kind == "slow" else LogisticRegression()
    model = make_pipeline(StandardScaler(), last)
    model.fit(np.column_stack([rows.column(name) for name in rows.column_names]), labels)
    folder.mkdir(parents=True)
    save_model(model, str(folder), example=rows.slice(0, 5))


def write(folder: Path, candidate: str, table: str = "") -> None:
    """Write a project with a good version that is champion, and a candidate, the challenger."""
    path = folder / "penstock.toml"
    path.write_text(CONFIG.format(table=table))
    config = read_config(path)
    with connect(connection_config(config.profile().metadata_address())) as metadata:
        history = History(metadata.store, folder / "root")
        for number, kind in enumerate(("good", candidate), 1):
            artifact_id = trained(history, f"run-{number}", span=number)
            [artifact] = metadata.store.get_artifacts_by_id([artifact_id])
            shutil.rmtree(artifact.uri)
            save(Path(artifact.uri, "Format-Serving"), kind)
            for key in contents.CONTENT_PROPERTIES:
                artifact.custom_properties.pop(key, None)
            contents.record(artifact)
            metadata.store.put_artifacts([artifact])
            registry.register(metadata.store, MODEL, artifact_id, who="ann")
        registry.move_alias(metadata.store, MODEL, "champion", 1, who="ann")
        registry.move_alias(metadata.store, MODEL, "challenger", 2, who="ann")


def serve(folder: Path) -> PredictionServer:
    """Serve what the alias stands for, as users do."""
    server = start_server(folder, f"{MODEL}@champion", PYTHONWARNINGS="ignore")
    wait_for(lambda: server.get("/startupz")[0] == 200, server)
    return server


def penstock(folder: Path, *arguments: str, timeout: float = 150) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def status(folder: Path) -> dict[str, Any]:
    return json.loads(penstock(folder, "release", "status", MODEL, "--json").stdout)


def champion(folder: Path) -> int:
    config = read_config(folder / "penstock.toml")
    with connect(connection_config(config.profile().metadata_address())) as metadata:
        return registry.read_model(metadata.store, MODEL).aliases["champion"]


@dataclass
class Load:
    """Callers who ask one after the other, and what they were answered.

    `statuses` counts answers, `versions` who gave them, `callers` has the versions by the caller.
    """

    url: str
    threads: int = 2
    statuses: Counter = field(default_factory=Counter)
    versions: Counter = field(default_factory=Counter)
    callers: dict[str, list[int]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for number in range(self.threads):
            thread = threading.Thread(target=self._ask, args=(number,), daemon=True)
            thread.start()
            self._running.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._running:
            thread.join(30)

    def _ask(self, number: int) -> None:
        host = urlsplit(self.url).netloc
        random = np.random.default_rng(number)
        connection = http.client.HTTPConnection(host, timeout=30)
        asked = 0
        while not self._over.is_set():
            asked += 1
            row = {"age": int(random.integers(45, 90)), "income": 20_000.0}
            caller = f"user-{number}-{asked % 50}"
            headers = {"Content-Type": "application/json", "x-user": caller}
            started = time.monotonic()
            try:
                connection.request("POST", f"/predict/{MODEL}", json.dumps(row), headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.statuses["lost"] += 1
                connection.close()
                continue
            self.seconds.append(time.monotonic() - started)
            version = int(answer.headers.get("x-model-version", 0))
            self.statuses[answer.status] += 1
            self.versions[version] += 1
            self.callers.setdefault(caller, []).append(version)
