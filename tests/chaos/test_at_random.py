"""Eight runs at once, of which processes, disk and database are attacked at random.

CHAOS_SECONDS says for how long, all databases together, and CHAOS_SEED what happens when.
"""

from __future__ import annotations

import os
import random
from contextlib import nullcontext

import pytest

from penstock_support import servers
from penstock_support.chaos_of_runs import Attacked, small_disk

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600"))
START = {
    "sqlite": nullcontext,
    "mariadb": servers.mariadb_instance,
    "postgresql": servers.postgresql_instance,
}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", START)
def test_nothing_is_lost_or_double_whatever_happens(tmp_path, kind, capsys):
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))
    disk = tmp_path / "disk"
    with small_disk(disk, 64) as may_fill, START[kind]() as database:
        store = database.server.address("chaos") if database else str(disk / "metadata.sqlite")
        attacked = Attacked(disk, store, seed, database, may_fill=may_fill)
        attacked.go_on_for(SECONDS / len(START))
        attacked.finish()
        with capsys.disabled():
            print(f"\n{kind}: CHAOS_SEED={seed}; {attacked.told()}")
        assert "\n".join(attacked.wrongs()) == ""
