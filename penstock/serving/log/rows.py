"""Requests and answers as rows of a log: the features by their names, and what was said of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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
    answered: Answered, signature: Signature | None, policy: LogPolicy, key: bytes
) -> pa.Table:
    """Return the rows of a request: its features as the model took them, and its predictions.

    Raises:
      DataError: the body cannot be read any more.
    """
    served = Served(answered.model, answered.version, signature)
    asked = VERBS[answered.verb].read(answered.body, answered.head, served)
    features = as_table({name: list(values) for name, values in asked.columns.items()})
    if signature is not None:
        features = signature.cast(features)
    if features.num_rows != asked.rows:
        raise DataError(f"{features.num_rows} rows came of {asked.rows}")
    facts = {
        REQUEST: answered.request_id,
        TIME: int(answered.at * 1e6),
        VERSION: answered.version,
        ROLE: answered.role,
        SECONDS: answered.seconds,
    }
    return logged(features, Summary.unpacked(answered.summary), facts, policy, key)


def logged(
    features: pa.Table,
    summary: Summary,
    facts: Mapping[str, Any],
    policy: LogPolicy,
    key: bytes,
    first: int = 0,
) -> pa.Table:
    """Return features and predictions as rows of a log.

    `facts` are the values of own columns that all rows share; `first` rows came before these.
    """
    rows = features.num_rows
    own = {
        REQUEST: _same(facts[REQUEST], rows),
        ROW: range(first, first + rows),
        **{name: _same(facts[name], rows) for name in (TIME, VERSION, ROLE, SECONDS)},
        CLASS: _same(None, rows) if summary.classes is None else summary.classes,
        SCORE: _same(None, rows) if summary.scores is None else summary.scores,
    }
    columns = {
        feature_column(name): _kept(name, features.column(name), policy, key)
        for name in features.column_names
        if name not in policy.left_out
    }
    made = {name: pa.array(list(values), OWN_TYPES[name]) for name, values in own.items()}
    return pa.table({**columns, **made})


def _same(value: Any, rows: int) -> list[Any]:
    return [value] * rows


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
