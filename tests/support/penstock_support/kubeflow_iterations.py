"""Kubeflow's iterator, as its driver and Argo carry it out: one iteration after the other.

- Items are the raw JSON of the iterator, or a parameter of the loop's task; a text is read as JSON
  (DAG in backend/src/v2/driver/dag.go, getItems in util.go, 2.17 development).
- An iteration has the inputs of the loop's task without the items, and the item as its own
  parameter (resolveInputs in resolve.go). It is not told its number.
- An artifact iterator is refused (dag.go of driver and argocompiler).
- An iteration that fails ends the task of the loop, and not its siblings: each is one task of
  Argo's, and those begin together (iterationItemTask in argocompiler/dag.go).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from penstock_support.kubeflow_backend import Backend, Compiled, Ended, holds


def run(
    backend: Backend, compiled: Compiled, run_id: str, *, failing: bool = False, **parameters: Any
) -> dict[str, Ended]:
    """Run a pipeline with loops to its end; tasks of iterations are called `train[0]`.

    With `failing` a task may fail, and what waits for it does not run.
    """
    ended: dict[str, Ended] = {}
    for name, task in compiled.tasks.items():
        if not _succeeded(task, ended):
            continue
        if "parameterIterator" in task:
            count = len(items_of(task, ended))
            for index in range(count):
                _iterate(backend, compiled, name, index, run_id, ended, parameters)
            inner = [e for key, e in ended.items() if key.startswith(f"{name}:")]
            ended[name] = Ended(max((one.code for one in inner), default=0), "")
        elif holds(task, ended):
            ended[name] = backend.run_pod(compiled, name, run_id, ended, **parameters)
        assert failing or ended[name].code == 0, ended[name].printed
    return {key.partition(":")[2] or key: one for key, one in ended.items()}


def _succeeded(task: Mapping[str, Any], ended: Mapping[str, Ended]) -> bool:
    before = task.get("dependentTasks", ())
    return all(name in ended and ended[name].code == 0 for name in before)


def items_of(task: Mapping[str, Any], ended: Mapping[str, Ended]) -> list[Any]:
    """Return what a task iterates over, without the parameters of the run."""
    iterator = task["parameterIterator"]["items"]
    if "raw" in iterator:
        items = json.loads(iterator["raw"])
    else:
        given = task["inputs"]["parameters"][iterator["inputParameter"]]["taskOutputParameter"]
        items = json.loads(ended[given["producerTask"]].values[given["outputParameterKey"]])
    assert isinstance(items, list), f"a {type(items).__name__} cannot be iterated"
    return items


def _iterate(
    backend: Backend,
    compiled: Compiled,
    loop: str,
    index: int,
    run_id: str,
    ended: dict[str, Ended],
    parameters: Mapping[str, Any],
) -> None:
    inner = iteration(compiled, loop, items_of(compiled.tasks[loop], ended)[index])
    own: dict[str, Ended] = {}
    for name, task in inner.tasks.items():
        known = {**ended, **own}
        if _succeeded(task, own) and holds(task, known):
            own[name] = backend.run_pod(inner, name, run_id, known, **parameters)
    ended.update({f"{loop}:{name}[{index}]": one for name, one in own.items()})


def iteration(compiled: Compiled, loop: str, item: Any) -> Compiled:
    """Return the tasks of one iteration, as if they were the pipeline's own."""
    spec = copy.deepcopy(dict(compiled.spec))
    task = spec["root"]["dag"]["tasks"][loop]
    component = spec["components"][task["componentRef"]["name"]]
    declared = component.get("inputDefinitions", {})
    given = task.get("inputs", {})
    own = task["parameterIterator"]["itemInput"]
    for inner in component["dag"]["tasks"].values():
        assert set(inner.get("dependentTasks", ())) <= set(component["dag"]["tasks"])
        for kind, from_loop in (
            ("parameters", "componentInputParameter"),
            ("artifacts", "componentInputArtifact"),
        ):
            for name, source in inner.get("inputs", {}).get(kind, {}).items():
                key = source.get(from_loop)
                if key is None:
                    continue
                assert key in declared.get(kind, {}), f"{key} is no input of {loop}"
                inner["inputs"][kind][name] = (
                    {"runtimeValue": {"constant": item}} if key == own else given[kind][key]
                )
    spec["root"]["dag"] = component["dag"]
    return Compiled(spec)
