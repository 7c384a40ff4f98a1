"""Tokens that callers send as `Authorization: Bearer TOKEN` (RFC 6750)."""

from __future__ import annotations

import secrets


def is_bearer(given: bytes, token: str) -> bool:
    """Return whether the value of a header has a token; how long that takes tells nothing of it."""
    kind, _, value = given.partition(b" ")
    right = secrets.compare_digest(value.strip(), token.encode())
    return right and kind.lower() == b"bearer"
