"""Forks made ahead do parts whatever their parent starts meanwhile."""

from __future__ import annotations

import subprocess
import sys

# Tests have native threads of what others have imported: a new process has none.
ALONE = """
import os, signal, threading
from penstock.data.parallel.ahead import WorkersAhead
os.sched_getaffinity = lambda _: {0, 1, 2}

class Times:
    def __init__(self, by):
        self.by = by

    def __call__(self, part, advance):
        advance(part)
        return part * self.by, os.getpid()

class Kills:
    def __call__(self, part, advance):
        os.kill(os.getpid(), signal.SIGKILL)

class Fails:
    def __call__(self, part, advance):
        raise ValueError(f"no part {part}")

def forbid_forks():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    assert threading.active_count() > 1
"""


def alone(script: str) -> str:
    """Return what a script prints that runs in a process with one thread."""
    found = subprocess.run(
        [sys.executable, "-c", ALONE + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not found.returncode, found.stderr
    return found.stdout.strip()


def test_parts_are_done_by_them_when_no_fork_could_be_made_any_more():
    found = alone("""
seen = []
with WorkersAhead(9) as workers:
    forbid_forks()
    results = list(workers.map(Times(10), range(20), advance=seen.append))
print([result for result, _ in results] == [part * 10 for part in range(20)])
print(os.getpid() in {process for _, process in results}, sum(seen))
""")
    assert found == "True\nFalse 190"


def test_there_are_as_many_as_cpus_and_no_more_than_are_asked_for():
    found = alone("""
for most in (2, 9):
    with WorkersAhead(most) as workers:
        print(len(workers._children))
""")
    assert found == "2\n3"


def test_they_do_one_work_after_another():
    found = alone("""
with WorkersAhead(2) as workers:
    for by in (2, 3):
        print([result for result, _ in workers.map(Times(by), range(4))])
""")
    assert found == "[0, 2, 4, 6]\n[0, 3, 6, 9]"


def test_what_cannot_be_pickled_is_done_by_the_parent():
    found = alone("""
with WorkersAhead(2) as workers:
    print(set(workers.map(lambda part, advance: os.getpid(), range(3))) == {os.getpid()})
    print(set(workers.map(Times(1), [1, 2])) == {(1, os.getpid()), (2, os.getpid())})
""")
    assert found == "True\nFalse"


def test_a_single_part_is_done_by_the_parent():
    found = alone("""
with WorkersAhead(2) as workers:
    print(list(workers.map(Times(1), [7])) == [(7, os.getpid())])
""")
    assert found == "True"


def test_a_process_that_has_threads_already_does_all_itself():
    found = alone("""
forbid_forks()
with WorkersAhead(2) as workers:
    print({process for _, process in workers.map(Times(1), range(3))} == {os.getpid()})
""")
    assert found == "True"


def test_what_a_part_raises_is_raised_and_the_next_work_is_done_by_the_parent():
    found = alone("""
with WorkersAhead(2) as workers:
    try:
        list(workers.map(Fails(), range(3)))
    except ValueError as error:
        print(error)
    print({process for _, process in workers.map(Times(1), range(3))} == {os.getpid()})
""")
    assert found == "no part 0\nTrue"


def test_one_that_is_killed_is_named_by_what_it_did():
    found = alone("""
with WorkersAhead(2) as workers:
    try:
        list(workers.map(Kills(), "ab", named="read {}".format))
    except Exception as error:
        print(error)
""")
    assert (
        found == "the process that should read a was killed by SIGKILL (was there enough memory?)."
    )


def test_none_is_left_at_the_end_of_the_block():
    found = alone("""
with WorkersAhead(2) as workers:
    list(workers.map(Times(1), range(3)))
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("none")
""")
    assert found == "none"


def test_none_is_left_when_results_are_no_longer_wanted():
    found = alone("""
with WorkersAhead(2) as workers:
    results = workers.map(Times(1), range(9))
    next(results)
    results.close()
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("none")
""")
    assert found == "none"
