"""A small process that forks one child for each file to read, as a nursery forks its workers.

Called with nothing; reads pickled requests (kind, file name, content) from standard input and
answers each with a pickled (outcome, detail): "rows" and how many could be read back from what an
ExampleGen made, "named" and the text of a PenstockError, "crash" and the signal that ended the
child, or "stack" and the traceback of anything else.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from penstock.components.csv_example_gen import in_process as csv_example_gen
from penstock.components.import_example_gen import in_process as import_example_gen
from penstock.components.parquet_example_gen import in_process as parquet_example_gen
from penstock.components.schema_gen.schema_file import schema_from_bytes
from penstock.data import ingestion, records, splits
from penstock.data.csv import CsvOptions
from penstock.data.payload import PayloadFormat
from penstock.data.spans import ResolvedInput, ResolvedSplit
from penstock.data.splits import InputConfig
from penstock.errors import PenstockError

SECONDS = 20
MEMORY = 6 << 30


def progress(**_: int) -> None:
    pass


def ingest(kind: str, name: str, content: bytes) -> int:
    """Let an ExampleGen's engine make examples of a file, and count what can be read of them."""
    if kind == "schema":
        return len(schema_from_bytes(content, name).feature)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        payload = PayloadFormat.FORMAT_PARQUET if kind == "parquet_as_is" else None
        to = ingestion.destination(
            f"{folder}/examples",
            InputConfig(),
            None,
            payload or PayloadFormat.FORMAT_TF_EXAMPLE,
        )
        found = ResolvedInput(0, None, (ResolvedSplit("single_split", "*", (str(path),)),))
        if kind == "csv":
            # Small blocks: what spans two of them is read too.
            csv_example_gen.generate_examples(found, to, CsvOptions(block_size=512), progress)
        elif kind == "parquet":
            parquet_example_gen.generate_examples(found, to, None, progress)
        else:
            import_example_gen.generate_examples(found, to, progress)
        rows = 0
        for split in to.split_names:
            files = records.record_files(splits.split_directory(to.uri, split))
            for batch in records.read_record_batches(files):
                batch.validate(full=True)
                rows += batch.num_rows
        return rows


def answer(request: tuple[str, str, bytes]) -> tuple[str, Any]:
    """Do a request in a child of its own, with a limit on time and memory."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiving)
        os.dup2(2, 1)  # what the engines print is no answer
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(SECONDS)
        try:
            outcome: tuple[str, Any] = ("rows", ingest(*request))
        except PenstockError as error:
            outcome = ("named", str(error))
        except BaseException:
            outcome = ("stack", traceback.format_exc())
        with os.fdopen(sending, "wb") as file:
            pickle.dump(outcome, file)
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as file:
        told = file.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return pickle.loads(told) if told and not code else ("crash", signal.Signals(-code).name)


def main() -> None:
    # Once here, not in every child: Arrow imports pandas when it first converts something.
    import pandas  # noqa: F401
    import tfx_bsl.coders.example_coder  # noqa: F401

    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(answer(request), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
