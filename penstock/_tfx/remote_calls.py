"""gRPC, of which TFX's core needs but numbers: its status codes."""

from __future__ import annotations

import enum
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_NAME = "grpc"


class StatusCode(enum.Enum):
    """The status codes of gRPC, with the values that its own enumeration has for them."""

    OK = (0, "ok")
    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")


@contextmanager
def grpc_later() -> Iterator[None]:
    """Keep gRPC from being imported meanwhile; who asks for it gets what stands for it.

    That has status codes, and imports gRPC when another name of it is used.
    """
    if _NAME in sys.modules:
        yield
        return
    later = sys.modules[_NAME] = _Later(_NAME)
    try:
        yield
    finally:
        if sys.modules.get(_NAME) is later:
            del sys.modules[_NAME]


class _Later(ModuleType):
    StatusCode = StatusCode

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)
