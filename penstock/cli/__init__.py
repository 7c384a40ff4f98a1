"""The command line: `penstock COMMAND`."""

from penstock.cli.commands import main

__all__ = ["main"]
