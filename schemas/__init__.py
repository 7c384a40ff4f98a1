"""Curated schemas, one a data set: protobuf text of a `tf.metadata.v0.Schema`."""

from __future__ import annotations

from pathlib import Path


def schema_file(name: str) -> str:
    """Return the path of the schema of a data set.

    Raises FileNotFoundError where there is none.
    """
    path = Path(__file__).parent / f"{name}.pbtxt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.pbtxt")))
        raise FileNotFoundError(f"there is no schema {name!r}; there are: {known}")
    return str(path)
