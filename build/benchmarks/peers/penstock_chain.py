"""Twenty empty nodes in a chain: `penstock run penstock_chain.py:chain`, and as a script."""

from typing import Any

from penstock import LocalRunner, component, pipeline

NODES = 20


@component
def HandOn(number: int) -> int:
    """Hand an integer on."""
    return number


@pipeline
def chain() -> list[Any]:
    """Hand an integer on, from node to node."""
    nodes = [HandOn(number=0).with_id("node_0")]
    for place in range(1, NODES):
        number = nodes[-1].outputs["output"]
        nodes.append(HandOn(number=number).with_id(f"node_{place}"))
    return nodes


if __name__ == "__main__":
    LocalRunner().run(chain, cache=False)
