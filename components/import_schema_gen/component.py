"""ImportSchemaGen: a schema that people curate, brought into the pipeline."""

from __future__ import annotations

from typing import Any

from penstock import Output, Resolved, component
from penstock.artifacts import Schema
from penstock.components.import_schema_gen.in_process import fingerprint, import_schema


def _resolve(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"schema_fingerprint": fingerprint(parameters["schema_file"])}


@component(resolve=_resolve)
def ImportSchemaGen(
    schema: Output[Schema],
    schema_file: str,
    schema_fingerprint: Resolved[str] = "",  # noqa: ARG001 - read by the cache alone
) -> None:
    """Copy a schema file, protobuf text of a `tf.metadata.v0.Schema`, into the pipeline.

    An edit of the file gives a new schema artifact: its content is part of the cache key.

    Raises:
      DataError: the file does not parse; the error has path, line and column.
    """
    import_schema(schema_file, schema.uri)
