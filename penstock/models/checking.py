"""Whether a saved model loads, and answers, in a process that has nothing of its training."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pyarrow as pa

from penstock.errors import DataError
from penstock.models.loading import load_model
from penstock.project import keras

_ROWS = "rows.arrow"
_PREDICTIONS = "predictions.arrow"
_ANSWER = "answer.json"


@dataclass(frozen=True)
class Answer:
    """What a fresh process says of a model: how long it took, how much memory, and predictions.

    `memory_bytes` is the most that the process had, its framework included.
    """

    load_seconds: float
    predict_seconds: float
    memory_bytes: int
    predictions: pa.Table | None


@dataclass(frozen=True)
class FreshProcess:
    """A Python process that has imported libraries and none of the user's code."""

    _process: subprocess.Popen[bytes]
    _folder: str

    def ask(
        self,
        directory: str,
        *,
        rows: pa.Table | None = None,
        trusted: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Have the model of a directory loaded, and asked about rows; may be called once.

        Without `rows` it is asked about its example, if it has one.

        Raises:
          DataError: it does not load or answer there, or not within the time.
        """
        if rows is not None:
            _write(rows, os.path.join(self._folder, _ROWS))
        order = json.dumps({"directory": os.path.abspath(directory), "trusted": list(trusted)})
        try:
            output, _ = self._process.communicate(order.encode(), timeout=timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise DataError(
                f"the model did not load and answer within {timeout_seconds:g} s in a fresh "
                "process",
                path=directory,
            ) from error
        answer = os.path.join(self._folder, _ANSWER)
        if self._process.returncode or not os.path.exists(answer):
            code = self._process.returncode
            raise _failed(directory, code, output.decode(errors="replace"))
        with open(answer, encoding="utf-8") as file:
            content = json.load(file)
        return Answer(**content, predictions=_read(os.path.join(self._folder, _PREDICTIONS)))


@contextmanager
def fresh_process(modules: Sequence[str] = ()) -> Iterator[FreshProcess]:
    """Start a process in a folder of its own, which imports `modules` until it is asked.

    It knows neither this process's folder nor its PYTHONPATH.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            name: value
            for name, value in keras.child_environment().items()
            if name not in ("PYTHONPATH", "PYTHONSTARTUP")
        }
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, folder, *modules],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield FreshProcess(process, folder)
        finally:
            process.kill()
            process.wait()


def _failed(directory: str, code: int, output: str) -> DataError:
    lines = [line for line in output.splitlines() if line.strip()]
    said = lines[-1] if lines else f"it ended with {code} and said nothing"
    return DataError(
        f"the model does not load and answer in a fresh process: {said}",
        path=directory,
        hint="What a model needs must be in its files, and not in the module that trained it.",
    )


def _write(table: pa.Table, path: str) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def _read(path: str) -> pa.Table | None:
    if not os.path.exists(path):
        return None
    with pa.ipc.open_file(path) as reader:
        return reader.read_all()


def _main(folder: str, *modules: str) -> None:
    import resource

    for module in modules:
        with suppress(ImportError):  # whether it is needed is seen when the model is loaded
            importlib.import_module(module)
    order = json.loads(sys.stdin.buffer.read())
    started = time.perf_counter()
    model = load_model(order["directory"], trusted=order["trusted"])
    loaded = time.perf_counter()
    rows = _read(os.path.join(folder, _ROWS)) or model.example
    if rows is not None:
        predictions = model.predict(rows)
        done = time.perf_counter()
        _write(predictions, os.path.join(folder, _PREDICTIONS))
    else:
        done = loaded
    answer = {
        "load_seconds": loaded - started,
        "predict_seconds": done - loaded,
        "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    with open(os.path.join(folder, _ANSWER), "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    _main(*sys.argv[1:])
