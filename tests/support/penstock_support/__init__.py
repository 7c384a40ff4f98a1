"""What tests share: components, servers, and programs that run in processes of their own."""

from __future__ import annotations

from pathlib import Path

PROGRAMS = Path(__file__).parent
IMPORT_PATH = str(PROGRAMS.parent)  # for PYTHONPATH: programs and workers find the package there
