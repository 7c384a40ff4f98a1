"""Chains of empty nodes, from twenty to a thousand: run, run again, planned and compiled.

Each in fresh processes without a daemon; the second run takes all nodes from the cache.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from measurements import Comparison, by_process, by_turns
from plan import Plan
from projects import ENVIRONMENT, HERE, PENSTOCK

from penstock import __version__

PART = "nodes"
# How often each length is measured.
LENGTHS = {20: 3, 50: 3, 200: 3, 1000: 1}
PIPELINE = "chain.py:chain"
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", PIPELINE, "--no-cache", "--no-daemon"),
    "cached": ("run", PIPELINE, "--no-daemon"),
    "plan": ("plan", PIPELINE),
    "compile": ("compile", PIPELINE, "--profile", "cluster", "--output", "chain.yaml"),
}
_PROFILE = f"""\
[profiles.cluster]
pipeline_root = "s3://bucket/root"
metadata = "mysql://writer@db.example/metadata"

[profiles.cluster.kubeflow]
image = "registry.example/chain@sha256:{"0" * 64}"
"""


def measure(plan: Plan) -> Iterator[Comparison]:
    """Measure each length; the first of its runs is not measured, and fills the cache."""
    for length, repeats in plan.sizes(LENGTHS).items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            text = (HERE / "peers" / "penstock_chain.py").read_text(encoding="utf-8")
            text = text.replace("NODES = 20", f"NODES = {length}")
            (folder / "chain.py").write_text(text, encoding="utf-8")
            (folder / "penstock.toml").write_text(_PROFILE, encoding="utf-8")
            ways = {
                way: by_process([*PENSTOCK, *command], folder, ENVIRONMENT)
                for way, command in COMMANDS.items()
            }
            ways["cached"]()
            versions = {"penstock": __version__}
            yield from by_turns((PART, "run", length), ways, repeats, versions)
