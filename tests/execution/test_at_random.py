"""The short form of what `make chaos` does for ten minutes on each database."""

from __future__ import annotations

from penstock_support.chaos_of_runs import Attacked, small_disk


def test_nothing_is_lost_or_double_when_processes_are_killed_and_the_disk_is_full(tmp_path):
    disk = tmp_path / "disk"
    with small_disk(disk, 64) as may_fill:
        attacked = Attacked(disk, str(disk / "metadata.sqlite"), 7, may_fill=may_fill)
        attacked.go_on_for(20)
        attacked.finish()
        assert "\n".join(attacked.wrongs()) == ""
