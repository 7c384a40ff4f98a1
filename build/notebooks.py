"""Execute notebooks, each in an empty folder, and keep their outputs: `make notebooks`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "notebooks"
CELL_SECONDS = 600


def execute(path: Path, folder: str) -> Any:
    """Run all cells of a notebook in a folder, and return it with what they showed.

    Raises:
      CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": folder}},
    )
    client.execute()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        # What libraries warn of differs from machine to machine.
        cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Execute all notebooks of the project."""
    import nbformat

    for path in sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, folder)
            text = nbformat.writes(notebook)
            for machine in (folder, sys.prefix):
                if machine in text:
                    raise SystemExit(f"{path.name} shows a path of this machine: {machine}")
            path.write_text(text + "\n", encoding="utf-8")
            print(f"executed {path.name}")


if __name__ == "__main__":
    main()
