"""Items of loops as texts: what Kubeflow's iterator hands to the tasks of one iteration.

Kubeflow tells nobody in a pod which iteration it is in, makes all numbers floating-point ones and
has no iterator over artifacts. So what it iterates over are texts, in which stand the place of an
item, what is said of it, and its value as JSON or the id of its artifact in our store. Those of
items that stand in the pipeline are compiled; others are made by a task before the loop.
"""

from __future__ import annotations

import json

from penstock.errors import RunError
from penstock.ir.unfolding import LoopValue
from penstock.ir.view import Item

# The parameter of a loop's tasks that has the item, and that of the loop that has all of them.
ITEM, ITEMS = "penstock_item", "penstock_items"


def item_of(depth: int) -> str:
    """Return the parameter that has the item of a loop, by how many loops stand around it."""
    return f"{ITEM}_{depth + 1}" if depth else ITEM


def write(given: LoopValue) -> str:
    """Return the text of an item; neither Argo nor Kubernetes finds something to fill in there."""
    item = given.item
    content = {"index": item.index, "text": item.text, "digest": item.digest}
    if given.artifact_id is None:
        content["value"] = json.dumps(given.value)
    else:
        content["artifact"] = given.artifact_id
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
