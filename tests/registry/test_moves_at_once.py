"""Aliases that many processes move at once: one order, and no move is lost."""

from __future__ import annotations

import multiprocessing
from itertools import pairwise

from penstock import registry
from penstock.metadata.store import connect, connection_config
from penstock_support.histories import History
from penstock_support.registered import move_often, trained

PROCESSES, MOVES, VERSIONS = 8, 25, 3


def test_two_hundred_moves_by_eight_processes_have_one_order(new_address, tmp_path):
    address = new_address()
    with connect(connection_config(address)) as metadata:
        history = History(metadata.store, tmp_path)
        for number in range(VERSIONS):
            registry.register(metadata.store, "m", trained(history, f"r{number}"), who="ann")
        processes = multiprocessing.get_context("spawn")
        ready, go = processes.Semaphore(0), processes.Event()
        movers = [
            processes.Process(
                target=move_often, args=(address, f"mover {n}", VERSIONS, MOVES, ready, go)
            )
            for n in range(PROCESSES)
        ]
        for mover in movers:
            mover.start()
        for _ in movers:
            assert ready.acquire(timeout=120)
        go.set()
        for mover in movers:
            mover.join()
        assert [mover.exitcode for mover in movers] == [0] * PROCESSES
        moves = registry.read_model(metadata.store, "m").moves
    assert sorted(move.why for move in moves) == sorted(
        f"mover {n} {number}" for n in range(PROCESSES) for number in range(MOVES)
    )
    assert all(before.to == after.before for before, after in pairwise(moves))
