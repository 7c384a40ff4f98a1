"""TFX's own tests, run with our runner in the place of TFX's: MODULE ….

What is printed last is, as JSON, what has become of each module's tests. Tests of TFX's see what
their components did in values of their own process; ours work in others, so these are in files.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import unittest
from collections.abc import Iterator, MutableMapping, MutableSequence
from pathlib import Path
from typing import Any


class SharedList(MutableSequence):
    """A list of JSON values that all processes share."""

    def __init__(self) -> None:
        _, self._path = tempfile.mkstemp()

    def _read(self) -> list[Any]:
        return [json.loads(line) for line in Path(self._path).read_text().splitlines()]

    def _write(self, values: list[Any]) -> None:
        Path(self._path).write_text("".join(json.dumps(value) + "\n" for value in values))

    def append(self, value: Any) -> None:
        """Add a value, in one write."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")

    def insert(self, index: int, value: Any) -> None:
        values = self._read()
        values.insert(index, value)
        self._write(values)

    def __getitem__(self, index: Any) -> Any:
        return self._read()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        values = self._read()
        values[index] = value
        self._write(values)

    def __delitem__(self, index: Any) -> None:
        values = self._read()
        del values[index]
        self._write(values)

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == other

    __hash__ = None  # type: ignore[assignment]


class SharedValues(MutableMapping):
    """JSON values by name that all processes share."""

    def __init__(self) -> None:
        _, self._path = tempfile.mkstemp()
        Path(self._path).write_text("{}")

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(Path(self._path).read_text()))

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        Path(self._path).write_text(json.dumps({**self._read(), name: value}))

    def __delitem__(self, name: str) -> None:
        values = self._read()
        del values[name]
        Path(self._path).write_text(json.dumps(values))

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())


class OurRunner:
    """Our runner with what TFX's `LocalDagRunner` can be asked for."""

    def run(self, pipeline: Any, run_options: Any = None, **_: Any) -> Any:
        """Run a pipeline, or a part of it."""
        from penstock import LocalRunner

        chosen = {}
        if run_options is not None:
            chosen = {
                "from_nodes": run_options.from_nodes or (),
                "to_nodes": run_options.to_nodes or (),
                "base_run": getattr(run_options, "base_pipeline_run_id", None),
            }
        return LocalRunner(parallelism=1).run(pipeline, **chosen)

    def run_with_ir(self, pipeline: Any, run_options: Any = None, **_: Any) -> Any:
        """Run IR, or a part of it."""
        return self.run(pipeline, run_options.partial_run if run_options is not None else None)


# Where TFX's tests look for what their components did.
SEEN = {
    "_executed_components": SharedList,
    "RAN_COMPONENTS": SharedList,
    "BEAM_ARG_VALUES": SharedValues,
}


def main(*modules: str) -> None:
    import tensorflow  # noqa: F401  # workers are copies of a process that has imported it
    from absl import flags
    from tfx.orchestration.beam import beam_dag_runner
    from tfx.orchestration.local import local_dag_runner

    local_dag_runner.LocalDagRunner = OurRunner
    beam_dag_runner.BeamDagRunner = OurRunner
    told = {}
    for name in modules:
        module = importlib.import_module(name)
        flags.FLAGS(sys.argv[:1])
        for seen, shared in SEEN.items():
            if hasattr(module, seen):
                setattr(module, seen, shared())
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, unittest.TestCase):
                _share(kind)
        suite = unittest.TestLoader().loadTestsFromModule(module)
        outcome = unittest.TextTestRunner(stream=sys.stderr, resultclass=_Result).run(suite)
        assert isinstance(outcome, _Result)
        told[name] = outcome.told
    print(json.dumps(told))


def _share(kind: type[unittest.TestCase]) -> None:
    prepare = kind.setUp

    def set_up(self: unittest.TestCase) -> None:
        prepare(self)
        for name, shared in SEEN.items():
            if hasattr(type(self), name):
                setattr(type(self), name, shared())

    kind.setUp = set_up  # type: ignore[method-assign]


class _Result(unittest.TextTestResult):
    """Says of each test by its name "passed", "skipped" or the last line of its error."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.told: dict[str, str] = {}

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.told[_name(test)] = "passed"

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.told[_name(test)] = f"skipped: {reason}"

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.told[_name(test)] = f"failed: {_last_line(err)}"

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.told[_name(test)] = f"error: {_last_line(err)}"


def _name(test: unittest.TestCase) -> str:
    return test.id().rpartition(".")[2]


def _last_line(error: Any) -> str:
    kind, value, _ = error
    return f"{kind.__name__}: {str(value).strip()[:300]}"


if __name__ == "__main__":
    main(*sys.argv[1:])
