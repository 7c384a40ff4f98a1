"""The command line: `penstock COMMAND`."""

from penstock.surfaces.cli.main import main

__all__ = ["main"]
