"""Twenty empty ops in a chain, by Dagster: `dagster job execute -f dagster_chain.py -j chain`."""

from dagster import job, op

NODES = 20


@op
def begin() -> int:
    """Begin."""
    return 0


@op
def hand_on(number: int) -> int:
    """Hand an integer on."""
    return number


@job
def chain() -> None:
    """Hand an integer on, from node to node; a job's own executor has a process for each."""
    number = begin()
    for place in range(1, NODES):
        number = hand_on.alias(f"node_{place}")(number)
