"""What the engine in this process leaves to TFMA's Beam transforms."""

from __future__ import annotations

from penstock.authoring.beam import BeamOptions


class Unsupported(Exception):
    """An evaluation has something that only the Beam engine can do; the message says what."""


def told(engine: str, reason: Unsupported, beam: BeamOptions) -> str:
    """Return the line that says who evaluates in place of the engine in this process, and why."""
    where = f", in the node's process and not by {beam.cluster}" if beam.cluster else ""
    return f"Evaluating with {engine}{where}, which takes longer: {reason}."
