"""Processes that push models to one directory, are killed at it, and watch what can be seen of it.

python pushes.py steps FOLDER          a push killed at each of its steps
python pushes.py push FOLDER ...       pushes, some of them killed
python pushes.py watch FOLDER          a reader, until its standard input is closed
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from penstock.components.pusher import local_versions

_EVENTS = ("open", "os.", "shutil.", "fcntl.")


def make_model(folder: Path, name: str, sizes: list[int]) -> Path:
    """Write a model whose manifest has the digest of each of its files."""
    randomness = random.Random(name)
    digests = {}
    for number, size in enumerate(sizes):
        path = folder / ("variables" if number % 2 else "assets/more") / f"part-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = randomness.randbytes(size)
        path.write_bytes(content)
        digests[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"name": name, "files": digests}))
    return folder


def problem_of(version: Path) -> str:
    """Say what a version lacks, if anything."""
    try:
        manifest = json.loads((version / "manifest.json").read_text())
        for file, digest in manifest["files"].items():
            if hashlib.sha256((version / file).read_bytes()).hexdigest() != digest:
                return f"{version.name}: {file} is another file"
        found = {str(p.relative_to(version)) for p in version.rglob("*") if p.is_file()}
    except (OSError, ValueError) as error:
        return f"{version.name}: {error!r}"
    unknown = found - {"manifest.json", *manifest["files"]}
    return f"{version.name} has also {unknown}" if unknown else ""


def numbered(base: Path) -> list[int]:
    return sorted(int(name) for name in os.listdir(base) if name.isdigit())


def kill_at(step: int) -> None:
    """Kill this process when it comes to a step: a call that touches files, or an fsync."""
    left = step

    def count(event: str, *_: Any) -> None:
        nonlocal left
        if event.startswith(_EVENTS):
            left -= 1
            if left == -1:  # the kill is such a call too
                os.kill(os.getpid(), signal.SIGKILL)

    real = os.fsync

    def fsync(descriptor: int) -> None:
        count("os.fsync")
        real(descriptor)

    os.fsync = fsync
    sys.addaudithook(count)


def push_in_a_child(step: int | None, **arguments: Any) -> str | None:
    """Push in a process of its own; return the version, or nothing where it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if step is not None:
                kill_at(step)
            os.write(writing, local_versions.push(**arguments).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        pushed = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        return None
    assert os.waitstatus_to_exitcode(status) == 0, "a push failed"
    return os.path.basename(pushed)


def steps(folder: Path) -> None:
    """Kill a push at its first step, its second, and so on until it comes to its end."""
    small = make_model(folder / "model", "small", [10, 2000, 300_000])
    names: list[str] = []
    step = 0
    while True:
        base = folder / f"base-{step}"
        for _ in range(2):
            local_versions.push(str(small), str(base), version_names="sequential")
        arguments = {"version_names": "sequential", "keep_last": 2}
        done = push_in_a_child(step, source=str(small), base_directory=str(base), **arguments)
        problems = [p for n in numbered(base) if (p := problem_of(base / str(n)))]
        assert not problems, f"killed at step {step}: {problems}"
        assert numbered(base) in ([1, 2], [1, 2, 3], [2, 3]), f"at step {step}: {numbered(base)}"
        before = numbered(base)
        after = local_versions.push(str(small), str(base), **arguments)
        assert numbered(base) == [before[-1], before[-1] + 1] == [before[-1], int(Path(after).name)]
        left = [n for n in os.listdir(base) if n.startswith(local_versions.STAGING_PREFIX)]
        assert not left, f"killed at step {step}: {left} stayed"
        names.append(str(before))
        shutil.rmtree(base)
        if done:
            break
        step += 1
    print(json.dumps({"steps": step, "seen": sorted(set(names))}))


def push_many(folder: Path, me: str, count: int, keep_last: int | None) -> None:
    """Push models of this process's own, about every second one killed at some step."""
    randomness = random.Random(me)
    done = []
    killed = 0
    sys.stdin.readline()
    for number in range(count):
        sizes = [randomness.randrange(1_000_000) for _ in range(randomness.randrange(1, 6))]
        model = make_model(folder / f"model-{me}-{number}", f"{me}-{number}", sizes)
        step = randomness.randrange(120) if randomness.random() < 0.5 else None
        version = push_in_a_child(
            step,
            source=str(model),
            base_directory=str(folder / "base"),
            version_names="unix_time",
            keep_last=keep_last,
        )
        killed += version is None
        if version is not None:
            done.append((int(version), f"{me}-{number}"))
    print(json.dumps({"done": done, "killed": killed}))


def watch(base: Path) -> None:
    """Check all that can be seen, again and again; a version that is removed meanwhile may lack."""
    problems, checked, newest = [], 0, 0
    models: dict[int, str] = {}
    while not select.select([sys.stdin], [], [], 0)[0]:
        found = numbered(base)
        if found and found[-1] < newest:
            problems.append(f"the newest was {newest} and is {found[-1]}")
        newest = max([newest, *found])
        for number in found:
            problem = problem_of(base / str(number))
            if problem:
                if number in numbered(base):
                    problems.append(problem)
                continue
            try:
                name = json.loads((base / str(number) / "manifest.json").read_text())["name"]
            except OSError:
                continue
            checked += 1
            if models.setdefault(number, name) != name:
                problems.append(f"{number} was {models[number]} and is {name}")
    print(json.dumps({"problems": problems, "checked": checked, "models": list(models.items())}))


if __name__ == "__main__":
    command, place = sys.argv[1], Path(sys.argv[2])
    if command == "steps":
        steps(place)
    elif command == "push":
        most = int(sys.argv[5])
        push_many(place, sys.argv[3], int(sys.argv[4]), most or None)
    else:
        watch(place / "base")
