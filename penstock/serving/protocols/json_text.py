"""JSON by orjson, which a server needs; without it, for a worker alone, by Python's own module."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

try:
    import orjson
except ImportError:  # the extra `serve` has it, and who checks a model need not have that
    orjson = None  # type: ignore[assignment]


def loads(text: bytes) -> Any:
    """Return what JSON says.

    Raises:
      ValueError: it is none.
    """
    return json.loads(text) if orjson is None else orjson.loads(text)


def dumps(content: Any, default: Callable[[Any], Any]) -> bytes:
    """Return content as JSON; `default` is for values that it does not have.

    Numbers that are none are null, without orjson NaN.
    """
    if orjson is None:
        return json.dumps(content, default=default).encode()
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY, default=default)
