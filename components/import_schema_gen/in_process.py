"""ImportSchemaGen's work: check a schema file and copy it, byte for byte."""

from __future__ import annotations

import hashlib
import os

from penstock.components.schema_gen.schema_file import FILE_NAME, read_bytes, schema_from_bytes


def fingerprint(schema_file: str) -> str:
    """Return the SHA-256 of the file's content.

    Raises:
      DataError: there is no such file.
    """
    return f"sha256:{hashlib.sha256(read_bytes(schema_file)).hexdigest()}"


def import_schema(schema_file: str, output_uri: str) -> str:
    """Copy the file to `schema.pbtxt` below `output_uri` and return its path.

    Raises:
      DataError: it does not parse as a schema or contradicts itself.
    """
    content = read_bytes(schema_file)
    schema_from_bytes(content, schema_file)
    os.makedirs(output_uri, exist_ok=True)
    path = os.path.join(output_uri, FILE_NAME)
    with open(path, "wb") as file:
        file.write(content)
    return path
