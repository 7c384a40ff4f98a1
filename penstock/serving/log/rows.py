"""Requests and answers as rows of a log: the features by their names, and what was said of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from penstock.errors import DataError
from penstock.models.rows import as_table
from penstock.models.signature import Signature
from penstock.serving.log.columns import (
    CLASS,
    OWN_TYPES,
    REQUEST,
    ROLE,
    ROW,
    SCORE,
    SECONDS,
    TIME,
    VERSION,
    feature_column,
)
from penstock.serving.log.policy import LogPolicy
from penstock.serving.protocols import VERBS
from penstock.serving.protocols.form import Served
from penstock.serving.worker.counting import Summary


@dataclass(frozen=True)
class Answered:
    """A request that was answered well, as a server tells its log of it.

    `body`, of which the first `head` bytes are JSON where the rest are tensors, is in the form
    `verb`. `summary` has the predictions in short, `at` is in seconds since 1970, and `seconds` is
    how long the caller waited.
    """

    model: str
    version: int
    role: str
    request_id: str
    at: float
    seconds: float
    verb: int
    head: int
    body: bytes
    summary: bytes


def rows_of(
    several: Sequence[Answered], signature: Signature | None, policy: LogPolicy, key: bytes
) -> pa.Table:
    """Return the rows of requests to one version: features as it took them, and predictions.

    Raises:
      DataError: a body cannot be read any more, or has other columns than the others.
    """
    first = several[0]
    served = Served(first.model, first.version, signature)
    asked = [VERBS[one.verb].read(one.body, one.head, served) for one in several]
    names = asked[0].columns.keys()
    if any(one.columns.keys() != names for one in asked):
        raise DataError("requests for one model have other columns")
    columns = {name: [v for one in asked for v in one.columns[name]] for name in names}
    features = as_table(columns)
    if signature is not None:
        features = signature.cast(features)
    sizes = [one.rows for one in asked]
    if features.num_rows != sum(sizes):
        raise DataError(f"{features.num_rows} rows came of {sum(sizes)}")
    summaries = [Summary.unpacked(one.summary) for one in several]
    own: dict[str, list[Any]] = {
        REQUEST: _repeated([one.request_id for one in several], sizes),
        ROW: [row for size in sizes for row in range(size)],
        TIME: _repeated([int(one.at * 1e6) for one in several], sizes),
        VERSION: _repeated([one.version for one in several], sizes),
        ROLE: _repeated([one.role for one in several], sizes),
        SECONDS: _repeated([one.seconds for one in several], sizes),
        CLASS: _listed([summary.classes for summary in summaries], sizes),
        SCORE: _listed([summary.scores for summary in summaries], sizes),
    }
    return logged(features, own, policy, key)


def logged(
    features: pa.Table, own: Mapping[str, Sequence[Any]], policy: LogPolicy, key: bytes
) -> pa.Table:
    """Return features, as far as the policy keeps them, with the log's own columns."""
    columns = {
        feature_column(name): _kept(name, features.column(name), policy, key)
        for name in features.column_names
        if name not in policy.left_out
    }
    made = {name: pa.array(own[name], kind) for name, kind in OWN_TYPES.items()}
    return pa.table({**columns, **made})


def _repeated(values: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    return [value for value, size in zip(values, sizes, strict=True) for _ in range(size)]


def _listed(parts: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    listed: list[Any] = []
    for part, size in zip(parts, sizes, strict=True):
        listed.extend([None] * size if part is None else part)
    return listed


def _kept(name: str, column: Any, policy: LogPolicy, key: bytes) -> Any:
    if name in policy.hashed:
        return pa.array([_hashed(value, key) for value in column.to_pylist()], pa.string())
    if name in policy.truncated:
        size = policy.truncated[name]
        return pa.array(
            [v[:size] if isinstance(v, (str, bytes)) else v for v in column.to_pylist()],
            column.type,
        )
    return column


def _hashed(value: Any, key: bytes) -> str | None:
    """Return what tells equal values from others, to nobody who has not the key."""
    if value is None:
        return None
    return hashlib.blake2b(repr(value).encode(), key=key, digest_size=12).hexdigest()
