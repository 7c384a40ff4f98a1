"""A component that is told where its input is by a parameter."""

from __future__ import annotations

from pathlib import Path

from penstock import Output, component
from penstock.artifacts import Model


@component
def ReadFolder(model: Output[Model], folder: str) -> None:
    """Write down what the files of a folder say."""
    texts = [path.read_text() for path in sorted(Path(folder).iterdir())]
    Path(model.uri, "model").write_text("".join(texts))
