"""The command line: `penstock COMMAND`."""

from penstock.cli.main import main

__all__ = ["main"]
