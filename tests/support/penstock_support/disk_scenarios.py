"""Runs on a disk that becomes full, read-only or forbidden; started in namespaces of its own.

Called with the name of a scenario and a folder; prints, as JSON, what each step came to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from penstock import LocalRunner, Output, component, pipeline
from penstock.artifacts import Model
from penstock.components import CsvExampleGen
from penstock.errors import PenstockError
from penstock.runners.local.display import Silent


@component
def Writes(model: Output[Model], kilobytes: int) -> None:
    """Write a file of some size, in pieces, after a small one."""
    Path(model.uri, "small").write_text("small")
    with open(Path(model.uri, "large"), "wb") as file:
        for _ in range(kilobytes):
            file.write(os.urandom(1024))


@pipeline
def writing(input_base: str, kilobytes: int = 10) -> list[Any]:
    """Write examples and a model."""
    return [CsvExampleGen(input_base=input_base), Writes(kilobytes=kilobytes)]


def run(folder: Path, store: str = "metadata.sqlite", **parameters: Any) -> dict[str, Any]:
    runner = LocalRunner(
        pipeline_root=str(folder / "root"),
        metadata=str(folder / store),
        # Which node finds the disk full is told by the order of the nodes alone.
        parallelism=1,
        display=Silent(),
    )
    parameters = {"input_base": str(folder / "data"), **parameters}
    try:
        result = runner.run(writing, parameters=parameters, raise_on_failure=False)
    except PenstockError as error:
        return {"raised": type(error).__name__, "error": str(error)}
    return {
        "states": {name: node.state.value for name, node in result.nodes.items()},
        "errors": {name: node.error for name, node in result.nodes.items()},
    }


def mount(folder: Path, kilobytes: int) -> None:
    folder.mkdir(exist_ok=True)
    options = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def write_data(folder: Path, rows: int) -> None:
    (folder / "data").mkdir(exist_ok=True)
    with open(folder / "data" / "data.csv", "w") as file:
        file.write("a,b\n")
        for _ in range(rows):
            file.write(f"{os.urandom(50).hex()},1\n")


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_bytes().hex()[:64] + str(path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


def leftovers(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob(".system/*/*/*") if path.is_file()]


def states(path: Path) -> list[str]:
    from penstock._tfx import metadata_store_pb2
    from penstock.metadata.store import connect, connection_config

    with connect(connection_config(str(path))) as metadata:
        found = [e.last_known_state for e in metadata.store.get_executions()]
    return [metadata_store_pb2.Execution.State.Name(state) for state in found]


def full(folder: Path) -> dict[str, Any]:
    """A root of 1 MB: a run that fits, one that does not, one when it is read-only."""
    told: dict[str, Any] = {}
    root = folder / "root"
    mount(root, 1024)
    write_data(folder, 200)
    told["good"] = run(folder)
    told["before"] = snapshot(root)
    write_data(folder, 30_000)
    told["full"] = run(folder, kilobytes=4000)
    told["after"] = snapshot(root)
    told["leftovers"] = leftovers(root)
    told["executions"] = states(folder / "metadata.sqlite")
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    told["read_only"] = run(folder, kilobytes=11)
    told["after_read_only"] = snapshot(root)
    return told


def full_store(folder: Path) -> dict[str, Any]:
    """Root and store on one disk of 2 MB that becomes full."""
    told: dict[str, Any] = {}
    disk = folder / "disk"
    mount(disk, 2048)
    write_data(disk, 200)
    told["good"] = run(disk)
    told["before"] = snapshot(disk / "root")
    told["full"] = run(disk, kilobytes=4000)
    told["after"] = snapshot(disk / "root")
    told["leftovers"] = leftovers(disk / "root")
    told["executions"] = states(disk / "metadata.sqlite")
    return told


def forbidden(folder: Path) -> dict[str, Any]:
    """A node's folder, then an input file, then the root that this user may not use."""
    told: dict[str, Any] = {}
    root = folder / "root"
    write_data(folder, 200)
    told["good"] = run(folder)
    told["before"] = snapshot(root)
    for path in [root / "Writes", *(p for p in (root / "Writes").rglob("*") if p.is_dir())]:
        path.chmod(0o555)
    write_data(folder, 201)
    (folder / "data" / "data.csv").chmod(0)
    told["node"] = run(folder, kilobytes=11)
    told["executions"] = states(folder / "metadata.sqlite")
    told["after"] = snapshot(root)
    (root / ".runs").chmod(0o555)
    told["root"] = run(folder, kilobytes=12)
    return told


if __name__ == "__main__":
    scenario = {"full": full, "full_store": full_store, "forbidden": forbidden}[sys.argv[1]]
    print(json.dumps(scenario(Path(sys.argv[2]))))
