"""Loads pipelines as a command does, and tells their IR: `defined_by_command.py FILE FUNCTION...`.

With CHECK in the place of FILE the function is one of `foreign_uses`, and what it returns is told.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main(file: str, *functions: str) -> None:
    """Print a JSON object."""
    told: dict[str, Any] = {}
    if file == "CHECK":
        from penstock._tfx import lazy

        lazy.open_door()
        uses = importlib.import_module("penstock_support.foreign_uses")
        told["seen"] = [getattr(uses, function)() for function in functions]
    else:
        from penstock import compile_pipeline
        from penstock.project.loading import load

        for function in functions:
            compiled = compile_pipeline(load(f"{file}:{function}", {}, Path.cwd(), None))
            told[function] = compiled.SerializeToString(deterministic=True).hex()
    print(json.dumps({**told, "tensorflow": "tensorflow" in sys.modules}))


if __name__ == "__main__":
    main(*sys.argv[1:])
