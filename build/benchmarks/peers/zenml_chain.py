"""Twenty empty steps in a chain, by ZenML with its default stack: `python zenml_chain.py`."""

from zenml import pipeline, step

NODES = 20


@step(enable_cache=False)
def begin() -> int:
    """Begin."""
    return 0


@step(enable_cache=False)
def hand_on(number: int) -> int:
    """Hand an integer on."""
    return number


@pipeline(enable_cache=False)
def chain() -> None:
    """Hand an integer on, from node to node."""
    number = begin()
    for _ in range(NODES - 1):
        number = hand_on(number)


if __name__ == "__main__":
    chain()
