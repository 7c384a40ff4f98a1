"""Twenty empty nodes in a chain, by Penstock, Metaflow, ZenML and Dagster, in fresh processes.

Each as its users run it, with its local defaults, and with a store in which it has run once before.
The peers have environments of their own, of the versions that `peers/*.txt` pin, and tell nobody
that they run. No node is taken from a cache.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from environments import python_of, read_requirements
from measurements import Comparison, Sample, by_process, by_turns
from plan import Plan
from projects import HERE, PENSTOCK

from penstock import __version__

PART = "chain"
NODES = 20
REPEATS = 3
PROGRAMS = HERE / "peers"
PEERS = ("metaflow", "zenml", "dagster")
COMMANDS: dict[str, tuple[str, ...]] = {
    "penstock run": (*PENSTOCK, "run", "penstock_chain.py:chain", "--no-cache", "--no-daemon"),
    "script": (PENSTOCK[0], "penstock_chain.py"),
    "metaflow": ("python", "metaflow_chain.py", "run"),
    "zenml": ("python", "zenml_chain.py"),
    "dagster": ("dagster", "job", "execute", "-f", "dagster_chain.py", "-j", "chain"),
}


def measure(plan: Plan) -> Iterator[Comparison]:
    """Measure all by turns, after a first run of each that is not measured."""
    installed = {peer: read_requirements(PROGRAMS / f"{peer}.txt") for peer in PEERS}
    pythons = {peer: python_of(peer, pinned) for peer, pinned in installed.items()}
    with tempfile.TemporaryDirectory() as name:
        ways = {way: _running(way, Path(name, way), pythons.get(way)) for way in COMMANDS}
        for first in ways.values():
            first()
        versions = {"penstock": __version__} | {
            peer: _version(peer, pinned) for peer, pinned in installed.items()
        }
        yield from by_turns((PART, "run", 0), ways, plan.times(REPEATS), versions)


def _running(way: str, folder: Path, python: Path | None) -> Callable[[], Sample]:
    """Return what runs the chain in a folder of its own, in which it keeps all that it keeps."""
    folder.mkdir()
    who = way if python else "penstock"
    shutil.copy(PROGRAMS / f"{who}_chain.py", folder)
    if who == "dagster":
        (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    if who == "penstock":
        (folder / "penstock.toml").write_text("[pipelines]\n", encoding="utf-8")
    program, *arguments = COMMANDS[way]
    command = [python.parent / program if python else program, *arguments]
    return by_process(command, folder, _environment(folder))


def _environment(folder: Path) -> Mapping[str, str]:
    """Return what keeps all below a folder, and telemetry and looks for newer versions off."""
    return {
        "HOME": str(folder),
        "PENSTOCK_DAEMON": "off",
        "METAFLOW_USER": "bench",
        "METAFLOW_HOME": str(folder / ".metaflowconfig"),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder),
        "ZENML_CONFIG_PATH": str(folder / ".zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "DAGSTER_HOME": str(folder),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DO_NOT_TRACK": "1",
    }


def _version(peer: str, pinned: list[str]) -> str:
    [version] = [line.partition("==")[2] for line in pinned if line.startswith(f"{peer}==")]
    return version
