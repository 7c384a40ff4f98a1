"""Parts of work are done in several processes where that is safe, and in one where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from penstock.data.parallel import processes
from penstock_support.processes import Family, wait_until

# Tests have native threads of what others have imported: a new process has none.
ALONE = """
import os, signal
from penstock.data.parallel.processes import available_processes, in_processes
from penstock.errors import DataError
os.sched_getaffinity = lambda _: {0, 1, 2}

class Unreadable(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")
"""


def alone(script: str) -> str:
    """Return what a script prints that runs in a process with one thread."""
    found = subprocess.run(
        [sys.executable, "-c", ALONE + script], capture_output=True, text=True, timeout=60
    )
    assert not found.returncode, found.stderr
    return found.stdout.strip()


def test_results_come_in_the_order_of_the_parts() -> None:
    # The first part waits for the third, which is at work at the same time.
    found = alone("""
done, ready = os.pipe()
def work(part, advance):
    os.read(done, 1) if part == 0 else os.write(ready, b" ") if part == 2 else None
    return part * 10
print(list(in_processes(work, range(20))))
""")
    assert found == str([part * 10 for part in range(20)])


def test_parts_are_done_in_other_processes_as_many_as_there_are_cpus() -> None:
    # Each part waits until as many are being done at once as there are processors.
    found = alone("""
import threading, multiprocessing
all_there = multiprocessing.Barrier(3, timeout=50)
def work(part, advance):
    if part < 3:
        all_there.wait()
    return os.getpid()
doing = list(in_processes(work, range(20)))
print(os.getpid() in doing, len(set(doing)))
""")
    assert found == "False 3"


def test_there_are_no_more_processes_than_parts() -> None:
    found = alone("""
import multiprocessing
both_there = multiprocessing.Barrier(2, timeout=50)
def work(part, advance):
    both_there.wait()
    return os.getpid()
doing = list(in_processes(work, "ab"))
print(os.getpid() in doing, len(set(doing)))
""")
    assert found == "False 2"


def test_no_parts_have_no_results() -> None:
    assert alone("print(list(in_processes(print, [])))") == "[]"


def test_an_exception_is_that_of_the_work() -> None:
    found = alone("""
def work(part, advance):
    raise DataError("bad", path=part, line=3)
try:
    list(in_processes(work, ["a", "b"]))
except DataError as error:
    print(error, "|", "in work" in str(error.__cause__))
""")
    assert found == "bad (a:3). | True"


def test_the_exception_is_that_of_the_first_part_that_fails() -> None:
    found = alone("""
done, ready = os.pipe()
def work(part, advance):
    if part == 1:
        os.read(done, 1)
    elif part == 2:
        os.write(ready, b" ")
    if part:
        raise DataError(f"part {part}")
    return part
try:
    list(in_processes(work, range(3)))
except DataError as error:
    print(error)
""")
    assert found == "part 1."


def test_results_before_an_exception_are_there() -> None:
    found = alone("""
def work(part, advance):
    return 1 / part
results = in_processes(work, [1, 0])
print(next(results))
try:
    next(results)
except ZeroDivisionError as error:
    print(error)
""")
    assert found == "1.0\ndivision by zero"


@pytest.mark.parametrize("raised", ["Unreadable(1, 2)", "Unreadable(lambda: 1, 2)"])
def test_an_exception_that_cannot_be_sent_is_told_in_words(raised) -> None:
    found = alone(f"""
def work(part, advance):
    raise {raised}
try:
    list(in_processes(work, [1, 2]))
except Exception as error:
    print(type(error).__name__, error)
""")
    assert found.startswith("PenstockError Unreadable: ")
    assert found.endswith(" and 2.")


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    found = alone("""
try:
    list(in_processes(lambda part, advance: (lambda: 1), [1, 2]))
except Exception as error:
    print(error)
""")
    assert "local object" in found  # what pickle says of it differs between versions


def test_a_process_that_is_killed_is_named_by_what_it_did() -> None:
    found = alone("""
def work(part, advance):
    if part == "b":
        os.kill(os.getpid(), signal.SIGKILL)
try:
    list(in_processes(work, "abc", named="read {}".format))
except Exception as error:
    print(error)
""")
    assert (
        found == "the process that should read b was killed by SIGKILL (was there enough memory?)."
    )


def test_a_process_that_exits_is_an_error() -> None:
    found = alone("""
try:
    list(in_processes(lambda part, advance: os._exit(0), "ab", named="read {}".format))
except Exception as error:
    print(error)
""")
    assert found == "the process that should read a ended with exit code 0."


def test_advances_are_told_to_the_parent() -> None:
    found = alone("""
seen = []
def work(part, advance):
    advance(part)
    advance(1)
list(in_processes(work, [10, 20], advance=lambda by: seen.append((os.getpid(), by))))
print({process for process, _ in seen} == {os.getpid()}, sorted(by for _, by in seen))
""")
    assert found == "True [1, 1, 10, 20]"


def test_what_is_printed_is_printed_once() -> None:
    found = alone("""
print("before", flush=False)
list(in_processes(lambda part, advance: print(part), ["part", "part"]))
print("after")
""")
    assert [found.count(word) for word in ("before", "part", "after")] == [1, 2, 1]


def test_no_process_is_left_when_results_are_no_longer_wanted() -> None:
    found = alone("""
def work(part, advance):
    if part:
        signal.pause()
    return os.getpid()
results = in_processes(work, range(3))
next(results)
results.close()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("none")
""")
    assert found == "none"


def test_a_process_with_threads_is_not_forked() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    doing = list(processes.in_processes(lambda *_: os.getpid(), [1, 2]))
    end.set()
    thread.join()
    assert doing == [os.getpid()] * 2


def test_a_process_with_one_cpu_is_not_forked() -> None:
    found = alone("""
os.sched_getaffinity = lambda _: {0}
print(set(in_processes(lambda part, advance: os.getpid(), range(3))) == {os.getpid()})
""")
    assert found == "True"


def test_processes_share_the_processors_among_them() -> None:
    found = alone("""
os.sched_getaffinity = lambda _: set(range(8))
def work(part, advance):
    return os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["TF_NUM_INTEROP_THREADS"]
print(*in_processes(work, range(2)), *in_processes(work, range(20)))
os.environ["TF_NUM_INTRAOP_THREADS"] = "5"
print(*in_processes(work, range(2)))
""")
    assert found.splitlines() == [
        " ".join([str(("4", "4"))] * 2 + [str(("1", "1"))] * 20),
        " ".join([str(("5", "4"))] * 2),
    ]


def test_processes_die_with_their_parent(tmp_path) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(f"""{ALONE}
def work(part, advance):
    advance(1)
    signal.pause()
list(in_processes(work, range(3), advance=lambda by: print(by, flush=True)))
""")
    family = Family(str(script))
    parent = family.start()
    assert [parent.stdout.readline() for _ in range(3)] == ["1\n"] * 3
    wait_until(lambda: len(family.alive()) == 4)
    parent.kill()
    parent.wait()
    family.wait_for_its_end()
    parent.stdout.close()
    parent.stderr.close()


def test_a_process_is_not_forked_once_tensorflow_runs() -> None:
    found = alone("""
import tensorflow
before = available_processes()
tensorflow.constant(1)
print(before, available_processes())
""")
    assert found == "3 1"
