"""The command line in a process of its own: `python command.py ARGUMENTS`."""

from __future__ import annotations

from penstock.surfaces.cli.main import main

if __name__ == "__main__":
    main()
