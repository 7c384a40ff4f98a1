"""A task's table as texts: what nodes of one component have alike, and what is a node's own.

Kubeflow writes a container once for all tasks that share it, and a task's parameters twice. So the
container is told what is `shared`, and the parameter OWN of the task has what is the node's `own`:
its name and those of the nodes before it, for which `@{0}`, `@{1}` … stand in what is shared (and
`@{_1.model}` for the key of an input that TFX's compiler calls after them), and the values of its
parameters. What is long is told the container too, which is then that node's alone. This hangs on
the node only, and not on which others there are, since both texts go into Kubeflow's cache key.

What TFX's compiler says of every node in the same words (the contexts of pipeline, run and node)
stands in neither.

The texts are JSON in which each of both quotation marks is written as the other: in a workflow, a
text within a text within a text, a double one takes four bytes. Neither `{{` nor `$(` occurs in
them: the launcher and Argo would substitute the one, Kubernetes the other.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OWN = "penstock_node"
_LONGEST_OWN = 400

_QUOTES = str.maketrans({'"': "'", "'": '"'})
_STAND_IN = re.compile(r"@(@*)\{(?:(\d+)|_(\d+)\.(.*))\}", re.DOTALL)
_CONFIG = "type.googleapis.com/tfx.orchestration.IntermediateDeploymentConfig"

Table = dict[str, Any]


@dataclass(frozen=True)
class Texts:
    """A task as texts; `own` is empty where the container is told all."""

    shared: str
    own: str = ""


def write(table: Table) -> Texts:
    """Return the texts of a task's table."""
    if not _has_one_node(table):
        return Texts(_to_text(table))
    table = copy.deepcopy(table)
    _usual(table, _leave_out)
    names = _names(table)
    own: Table = {"names": names}
    if values := _take_values(table):
        own["values"] = values
    stand_ins = _stand_ins(table, names)
    shared = _mapped(table, lambda text: _stand_in(text, stand_ins))
    text = _to_text(own)
    if len(text) > _LONGEST_OWN:
        return Texts(_to_text({**shared, "own": own}))
    return Texts(_to_text(shared), text)


def whole(told: Texts) -> str:
    """Return both texts of a task as one, for a container that is told all.

    Raises:
      ValueError: a text is none.
    """
    if not told.own:
        return told.shared
    return _to_text({**_from_text(told.shared), "own": _from_text(told.own)})


def read(texts: Texts) -> Table:
    """Return the table that `write` wrote.

    Raises:
      ValueError: a text is none.
    """
    table = _from_text(texts.shared)
    own = _from_text(texts.own) if texts.own else table.pop("own", None)
    if own is None:
        return table
    try:
        names = list(own["names"])
        whole: Table = _mapped(table, lambda text: _meant(text, names))
        for name, value in own.get("values", {}).items():
            _parameters(whole)[name]["field_value"] = _message(value)
        _usual(whole, _put_in)
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the texts do not belong together: {error!r}") from error
    return whole


def node_and_action(told: Texts) -> tuple[str, str]:
    """Return what node a task is of and what it does, "" for what it does not say.

    Raises:
      ValueError: a text is none.
    """
    table = _from_text(told.shared)
    own = _from_text(told.own) if told.own else table.get("own", table)
    names = own.get("names") or [table.get("node", "")]
    return str(names[0]), str(table.get("action", "run"))


def without_cache(shared: str) -> str:
    """Return what a container is told, so that it takes nothing from what earlier runs have made.

    Raises:
      ValueError: it is told something else.
    """
    table = _from_text(shared)
    try:
        for entry in table["pipeline"]["nodes"]:
            entry["pipeline_node"].setdefault("execution_options", {})["caching_options"] = {}
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"there is no node in it: {error!r}") from error
    return _to_text(table)


def _to_text(table: Table) -> str:
    text = json.dumps(table, sort_keys=True, separators=(",", ":")).translate(_QUOTES)
    # Two braces or a dollar before a parenthesis can only stand inside of JSON's strings.
    return text.replace("{{", "{\\u007b").replace("$(", "\\u0024(")


def _from_text(text: str) -> Table:
    try:
        table = json.loads(text.translate(_QUOTES))
    except RecursionError as error:
        raise ValueError("it is too deep") from error
    if not isinstance(table, dict):
        raise ValueError("it is no table")
    return table


def _has_one_node(table: Table) -> bool:
    """Whether a table is that of a node as TFX's compiler writes it."""
    try:
        [entry] = table["pipeline"]["nodes"]
        _usual(copy.deepcopy(table), _leave_out)
        return isinstance(entry["pipeline_node"], dict)
    except (LookupError, TypeError, AttributeError, ValueError):
        return False


def _names(table: Table) -> list[str]:
    """Return the name of a node, and those of the nodes whose outputs it takes."""
    return list(dict.fromkeys([table["node"], *(i["producer"] for i in table.get("inputs", ()))]))


# What stands in the place of what is usual, or is put in there.
_Change = Callable[[Table, str, Any], None]


def _usual(table: Table, change: _Change) -> None:
    """Change what TFX's compiler says of every node in the same words."""
    pipeline = table["pipeline"]
    name = pipeline["pipeline_info"]["id"]
    change(pipeline, "execution_mode", "SYNC")
    change(pipeline, "runtime_spec", {key.replace("-", "_"): _of_run(key) for key in _RUNTIME})
    change(pipeline.setdefault("deployment_config", {}), "@type", _CONFIG)
    node = pipeline["nodes"][0]["pipeline_node"]
    change(node, "contexts", {"contexts": _contexts(name, table["node"])})
    for spec in node.get("inputs", {}).get("inputs", {}).values():
        for channel in spec.get("channels", ()):
            producer = channel.get("producer_node_query", {}).get("id", "")
            change(channel, "context_queries", _contexts(name, producer))


_RUNTIME = ("pipeline-root", "pipeline-run-id")


def _of_run(name: str) -> Table:
    return {"runtime_parameter": {"name": name, "type": "STRING"}}


def _contexts(pipeline: str, node: str) -> list[Table]:
    def named(kind: str, name: Table) -> Table:
        return {"name": name, "type": {"name": kind}}

    def constant(text: str) -> Table:
        return {"field_value": {"string_value": text}}

    return [
        named("pipeline", constant(pipeline)),
        named("pipeline_run", _of_run("pipeline-run-id")),
        named("node", constant(f"{pipeline}.{node}")),
    ]


def _leave_out(where: Table, key: str, usual: Any) -> None:
    if key not in where:
        where[key] = None
    elif where[key] == usual:
        del where[key]


def _put_in(where: Table, key: str, usual: Any) -> None:
    if key not in where:
        where[key] = usual
    elif where[key] is None:
        del where[key]


def _parameters(table: Table) -> Table:
    """Return the parameters of a table's node."""
    node = table["pipeline"]["nodes"][0]["pipeline_node"]
    parameters: Table = node.get("parameters", {}).get("parameters", {})
    return parameters


def _take_values(table: Table) -> Table:
    """Take the values of parameters out of a table, those of which JSON says what they are."""
    values: Table = {}
    for name, parameter in _parameters(table).items():
        match parameter.get("field_value"):
            case {"string_value": str(text)}:
                values[name] = text
            case {"int_value": str(text)}:
                values[name] = int(text)
            case {"double_value": float(number)}:
                values[name] = number
            case _:
                continue
        del parameter["field_value"]
    return values


def _message(value: Any) -> Any:
    match value:
        case str():
            return {"string_value": value}
        case float():
            return {"double_value": value}
    return {"int_value": str(value)}


def _stand_ins(table: Table, names: list[str]) -> dict[str, str]:
    """Return what stands for the names of nodes, and for what is called after them."""
    stand_ins = {}
    for taken in table.get("inputs", ()):
        producer, output = taken["producer"], taken["output"]
        stand_ins[f"_{producer}.{output}"] = f"@{{_{names.index(producer)}.{output}}}"
    return stand_ins | {name: f"@{{{number}}}" for number, name in enumerate(names)}


def _stand_in(text: str, stand_ins: dict[str, str]) -> str:
    if text in stand_ins:
        return stand_ins[text]
    return f"@{text}" if _STAND_IN.fullmatch(text) else text


def _meant(text: str, names: list[str]) -> str:
    match = _STAND_IN.fullmatch(text)
    if match is None:
        return text
    escaped, name, called_after, output = match.groups()
    if escaped:
        return text[1:]
    return names[int(name)] if name else f"_{names[int(called_after)]}.{output}"


def _mapped(value: Any, function: Callable[[str], str]) -> Any:
    """Return a value in which all texts are mapped, keys too."""
    if isinstance(value, str):
        return function(value)
    if isinstance(value, dict):
        return {function(key): _mapped(item, function) for key, item in value.items()}
    return [_mapped(item, function) for item in value] if isinstance(value, list) else value
