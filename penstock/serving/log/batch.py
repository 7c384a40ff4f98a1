"""Predictions for the rows of a file, in the log of a server: all of a call's rows, or none."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.data import unifying
from penstock.errors import StorageError
from penstock.models.signature import Signature
from penstock.serving.log.columns import (
    CLASS,
    REQUEST,
    ROLE,
    ROW,
    SCORE,
    SECONDS,
    TIME,
    VERSION,
)
from penstock.serving.log.policy import BATCH, LogPolicy, span_at, span_folder
from penstock.serving.log.rows import logged
from penstock.serving.log.writing import COMPRESSION, appearing, key_of, make_room, reason_of
from penstock.serving.worker.counting import summary_of


@dataclass
class BatchLog:
    """The rows of one call, which have its id and their place in the file.

    The policy's percent are of the rows: a call is no request that is sampled as a whole.
    """

    policy: LogPolicy
    version: int
    signature: Signature | None
    path: Path
    at: float
    request_id: str
    _key: bytes = b""
    _rows: int = 0
    _writer: Any = None

    def add(self, rows: pa.Table, predictions: pa.Table) -> None:
        """Keep some rows, as the model took them, and its predictions for them."""
        import pyarrow.parquet as pq

        features = rows if self.signature is None else self.signature.cast(rows)
        summary, count = summary_of(predictions), features.num_rows
        own = {
            REQUEST: [self.request_id] * count,
            ROW: range(self._rows, self._rows + count),
            TIME: [int(self.at * 1e6)] * count,
            VERSION: [self.version] * count,
            ROLE: [BATCH] * count,
            SECONDS: [None] * count,
            CLASS: [None] * count if summary.classes is None else summary.classes,
            SCORE: [None] * count if summary.scores is None else summary.scores,
        }
        table = logged(features, own, self.policy, self._key)
        self._rows += table.num_rows
        if self.policy.percent < 100:
            places = table.column(ROW).to_pylist()
            chosen = [self.policy.has(f"{self.request_id}/{place}") for place in places]
            table = table.filter(pa.array(chosen, pa.bool_()))
        with _told(self.policy.folder):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self.path, table.schema, compression=COMPRESSION)
            self._writer.write_table(unifying.unified(table, self._writer.schema))

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def batch_log(
    policy: LogPolicy, model: str, version: int, signature: Signature | None
) -> Iterator[BatchLog]:
    """Yield what keeps the rows of a call; they are in the log when it is left without an error.

    Raises:
      StorageError: the log cannot be written.
    """
    at, call = time.time(), secrets.token_hex(8)
    folder = Path(policy.folder)
    span = span_folder(policy.span, span_at(at, policy.span))
    with ExitStack() as stack:
        with _told(policy.folder):
            key = key_of(folder) if policy.hashed else b""
            file = appearing(folder / model, span, f"part-batch-{call}.parquet")
            begun = stack.enter_context(file)
        log = BatchLog(policy, version, signature, begun, at, f"batch-{call}", key)
        try:
            yield log
        except BaseException:
            with suppress(OSError):  # of what is removed anyway
                log.close()
            raise
        with _told(policy.folder):
            log.close()
            stack.close()
            make_room(folder, policy.most_bytes)


@contextmanager
def _told(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the log {folder} cannot be written: {reason_of(error)}",
            path=folder,
            hint="Give another folder, --log FOLDER, or predict without a log.",
        ) from error
