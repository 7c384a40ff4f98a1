"""How the server says no: gRPC's codes, and the HTTP statuses that stand for them."""

from __future__ import annotations

from typing import Any

# The name of a code: its number, and the status of the answer.
_CODES = {
    "INVALID_ARGUMENT": (3, 400),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}
_INTERNAL, _FOR_PEOPLE = 13, "Internal Server Error"


class Refusal(Exception):
    """A request that the server refuses, with the body that says so.

    The paths for uploads and logs write errors in a form of their own: `plain`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = _CODES[code]
        self.message = message

    def body(self, *, plain: bool) -> dict[str, Any]:
        """Return what the answer says."""
        if plain:
            return {"error_message": self.message, "error_details": self.message}
        # The reason of an INTERNAL error is for operators: it stands in the message alone.
        # (GRPCStatus in backend/src/common/util/error.go, 2.17.0)
        detail = {
            "@type": "type.googleapis.com/google.rpc.Status",
            "code": self.code,
            "message": _FOR_PEOPLE if self.code == _INTERNAL else self.message,
        }
        return {
            "error": f"Invalid input error: {self.message}" if self.code == 3 else self.message,
            "code": self.code,
            "message": self.message,
            "details": [detail],
        }


def invalid(message: str) -> Refusal:
    """Return a refusal for a request that is wrong in itself."""
    return Refusal("INVALID_ARGUMENT", message)


def missing(kind: str, name: str) -> Refusal:
    """Return a refusal for something that is not there."""
    return Refusal("NOT_FOUND", f"{kind} {name} not found")
