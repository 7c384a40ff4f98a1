"""What the engine in this process leaves to TFMA's Beam transforms."""

from __future__ import annotations


class Unsupported(Exception):
    """An evaluation has something that only the Beam engine can do; the message says what."""
