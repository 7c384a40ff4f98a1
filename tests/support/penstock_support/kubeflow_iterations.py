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
import re
from collections.abc import Mapping
from typing import Any

from penstock_support.kubeflow_backend import Backend, Compiled, Ended, holds


def run(
    backend: Backend, compiled: Compiled, run_id: str, *, failing: bool = False, **parameters: Any
) -> dict[str, Ended]:
    """Run a pipeline with loops to its end; tasks of iterations are called `train[0]`.

    In an iteration of a loop within that one they are called `train[0][1]`.

    With `failing` a task may fail, and what waits for it does not run.
    """
    shown: dict[str, Ended] = {}

    def tasks(compiled: Compiled, outside: Mapping[str, Ended], place: str) -> dict[str, Ended]:
        """Run the tasks of a graph, an iteration's with what has ended outside of it."""
        own: dict[str, Ended] = {}
        for name, task in compiled.tasks.items():
            known = {**outside, **own}
            if not _succeeded(task, own):
                continue
            if "parameterIterator" in task:
                codes = [0]
                for index, item in enumerate(items_of(task, known)):
                    inner = tasks(iteration(compiled, name, item), known, f"{place}[{index}]")
                    codes += [one.code for one in inner.values()]
                own[name] = Ended(max(codes), "")
            elif holds(task, known):
                own[name] = backend.run_pod(compiled, name, run_id, known, **parameters)
            else:
                continue
            shown[f"{name}{place}"] = own[name]
            assert failing or own[name].code == 0, own[name].printed
        return own

    tasks(compiled, {}, "")
    return shown


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


def _selected(source: Mapping[str, Any], taken: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an expression selects of an item, as text: the parameter is one.

    (handleParameterExpressionSelector in driver/resolve.go, and PbValueToText)
    """
    selector = source.get("parameterExpressionSelector")
    if selector is None:
        return taken
    match = re.fullmatch(r'parseJson\(string_value\)\["(\w+)"\]', selector)
    assert match, f"{selector} is none of our expressions"
    value = json.loads(taken["runtimeValue"]["constant"])[match[1]]
    text = value if isinstance(value, str) else json.dumps(value)
    return {"runtimeValue": {"constant": text}}


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
                taken = {"runtimeValue": {"constant": item}} if key == own else given[kind][key]
                inner["inputs"][kind][name] = _selected(source, taken)
    spec["root"]["dag"] = component["dag"]
    return Compiled(spec)
