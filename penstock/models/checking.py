"""Whether a saved model loads, and answers, in a process that has nothing of its training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import pyarrow as pa

from penstock.errors import DataError
from penstock.models.facts import read_facts
from penstock.models.loading import load_model

_PREDICTIONS = "predictions.arrow"
_ANSWER = "answer.json"


@dataclass(frozen=True)
class Answer:
    """What a fresh process says of a model: how long it took, how much memory, and predictions."""

    load_seconds: float
    predict_seconds: float
    memory_bytes: int
    predictions: pa.Table


def ask_in_fresh_process(
    directory: str, *, trusted: tuple[str, ...] = (), timeout_seconds: float | None = None
) -> Answer:
    """Load a model in a new Python process, in another folder, and ask it about its example.

    Raises:
      DataError: it does not load or answer there, or not within the time.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", __name__, os.path.abspath(directory), folder]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONSTARTUP")
        }
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            ended = subprocess.run(
                [*command, *trusted],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(
                f"the model did not load and answer within {timeout_seconds:g} s in a fresh "
                "process",
                path=directory,
            ) from error
        answer = os.path.join(folder, _ANSWER)
        if ended.returncode or not os.path.exists(answer):
            raise _failed(directory, ended.returncode, ended.stdout.decode(errors="replace"))
        with open(answer, encoding="utf-8") as file:
            content = json.load(file)
        with pa.ipc.open_file(os.path.join(folder, _PREDICTIONS)) as reader:
            return Answer(**content, predictions=reader.read_all())


def _failed(directory: str, code: int, output: str) -> DataError:
    lines = [line for line in output.splitlines() if line.strip()]
    said = lines[-1] if lines else f"it ended with {code} and said nothing"
    return DataError(
        f"the model does not load and answer in a fresh process: {said}",
        path=directory,
        hint="What a model needs must be in its files: not in the module that trained it.",
    )


def _main(directory: str, folder: str, *trusted: str) -> None:
    import resource

    started = time.perf_counter()
    model = load_model(directory, trusted=trusted)
    loaded = time.perf_counter()
    facts = read_facts(directory)
    example = facts.example if facts else None
    if example is None:
        raise DataError("the model has no example to ask it about", path=directory)
    predictions = model.predict(example)
    done = time.perf_counter()
    with pa.ipc.new_file(os.path.join(folder, _PREDICTIONS), predictions.schema) as writer:
        writer.write_table(predictions)
    answer = {
        "load_seconds": loaded - started,
        "predict_seconds": done - loaded,
        "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    with open(os.path.join(folder, _ANSWER), "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    _main(*sys.argv[1:])
