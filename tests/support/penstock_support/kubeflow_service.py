"""Connections to a server for tests that are as hasty as tests should be."""

from __future__ import annotations

from penstock.runners.kubeflow.server.service import Patience

HASTY = Patience(
    connecting=5, reading=30, pauses=(0, 0), settling=(0, 0, 0), interval=0, sleep=lambda _: None
)
