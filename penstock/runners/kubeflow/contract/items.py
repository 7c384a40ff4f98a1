"""Items of loops as texts: what Kubeflow's iterator hands to the tasks of one iteration.

Kubeflow tells nobody in a pod which iteration it is in, makes all numbers floating-point ones and
has no iterator over artifacts. So what it iterates over are texts, in which stand the place of an
item, what is said of it, and its value as JSON or the id of its artifact in our store. Those of
items that stand in the pipeline are compiled; others are made by a task before the loop.

Containers of their own know nothing of that. What they take of an item stands in its text as well,
as text, and Kubeflow selects it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from penstock.errors import RunError
from penstock.ir.loops import with_item
from penstock.ir.unfolding import LoopValue
from penstock.ir.view import Item
from penstock.project.kubernetes import check_no_braces

# The parameter of a loop's tasks that has the item, and that of the loop that has all of them.
ITEM, ITEMS = "penstock_item", "penstock_items"


def item_of(depth: int) -> str:
    """Return the parameter that has the item of a loop, by how many loops stand around it."""
    return f"{ITEM}_{depth + 1}" if depth else ITEM


def selected(key: str) -> str:
    """Return the expression of Kubeflow's that selects something of an item's text."""
    return f'parseJson(string_value)["{key}"]'


def told(number: int) -> str:
    """Return by which key an item's text has what containers are told of it."""
    return f"told_{number}"


def write(given: LoopValue, loop: str, told_texts: Sequence[str] = ()) -> str:
    """Return the text of a loop's item; Argo and Kubernetes find nothing to fill in there.

    `told_texts` refer to the item: they are what containers of their own are told of it.

    Raises:
      PipelineError: the item has no such part.
      ParameterError: a container would be told what Argo takes for its own.
    """
    item = given.item
    content = {"index": item.index, "text": item.text, "digest": item.digest}
    if given.artifact_id is None:
        content["value"] = json.dumps(given.value)
    else:
        content["artifact"] = given.artifact_id
    for number, text in enumerate(told_texts):
        value = str(with_item(text, loop, given.value))
        check_no_braces(value, f"an item of {loop}, of which a container of its own takes a part")
        content[told(number)] = value
    return json.dumps(content, sort_keys=True).replace("{{", "{\\u007b").replace("$(", "\\u0024(")


def read(text: object, name: str = ITEM) -> LoopValue:
    """Read what `write` wrote, and a parameter has.

    Raises:
      RunError: it is none.
    """
    try:
        content = json.loads(str(text))
        item = Item(int(content["index"]), str(content["text"]), str(content["digest"]))
        if "artifact" in content:
            return LoopValue(item, artifact_id=int(content["artifact"]))
        return LoopValue(item, json.loads(content["value"]))
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"expected an item of a loop as the parameter {name}, got {text!r:.200}",
            hint="Compile the pipeline again: penstock compile.",
        ) from error
