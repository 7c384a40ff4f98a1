"""What a sink raises that did not take a message."""

from __future__ import annotations


class Undelivered(Exception):
    """A message was not delivered, or nobody knows; `reason` has no secrets.

    `again` says that it may be at another time; `after` seconds, where the sink says so.
    """

    def __init__(self, reason: str, *, again: bool = True, after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.after = after
