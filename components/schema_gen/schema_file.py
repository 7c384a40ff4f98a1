"""Schemas on disk: a `tf.metadata.v0.Schema` as protobuf text."""

from __future__ import annotations

import os
import re
from collections import Counter

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.data.files import remote
from penstock.errors import DataError, suggestion

FILE_NAME = "schema.pbtxt"

# The position that protobuf puts before its message: "12:3 : ".
_POSITION = re.compile(r"^\d+:\d+\s*:\s*")

# What feature_lines looks at; comments and other texts are passed over, with what stands in them.
_TOKEN = re.compile(
    r"""\#[^\n]*
    | (?P<block>\w+)\s*:?\s*[{<]
    | (?P<end>[}>])
    | \bname\s*:\s*(?P<quote>["'])(?P<name>(?:\\.|(?!(?P=quote)).)*)(?P=quote)
    | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'""",
    re.VERBOSE,
)


def read_schema(path: str) -> schema_pb2.Schema:
    """Read a schema from a file, or from the only file of a Schema artifact's directory.

    Raises:
      DataError: it does not parse; the error has path, line and column.
    """
    file_path = schema_path(path)
    return schema_from_bytes(read_bytes(file_path), file_path)


def schema_path(path: str) -> str:
    """Return the path of a schema's file, which may be that of its artifact's directory."""
    return _only_file(path) if os.path.isdir(path) else path


def feature_lines(path: str) -> dict[str, int]:
    """Return the line of a schema's file on which each feature is named; the path is its name."""
    text = read_bytes(schema_path(path)).decode("utf-8", errors="replace")
    lines: dict[str, int] = {}
    blocks: list[tuple[str, str]] = []
    for token in _TOKEN.finditer(text):
        block, name = token["block"], token["name"]
        if block:
            blocks.append((block, ""))
        elif token["end"] and blocks:
            blocks.pop()
        elif name and blocks and blocks[-1] == ("feature", ""):
            blocks[-1] = ("feature", name)
            inside = [kind for kind, _ in blocks if kind not in ("feature", "struct_domain")]
            if not inside:
                steps = ".".join(step for kind, step in blocks if kind == "feature")
                line = 1 + text.count("\n", 0, token.start("name"))
                lines.setdefault(steps, line)
    return lines


def write_schema(schema: schema_pb2.Schema, directory: str) -> str:
    """Write a schema as TFX does and return the file's path."""
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, FILE_NAME)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text_format.MessageToString(schema))
    return path


def read_bytes(path: str) -> bytes:
    """Return a schema file's content, locally or of a URL; raises DataError when there is none."""
    if remote.is_remote(path):
        return remote.read_bytes(path)
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(
            "expected a schema file, but there is no such file",
            path=path,
            hint="Give the path of a file such as schema.pbtxt.",
        ) from error


def schema_from_bytes(content: bytes, path: str) -> schema_pb2.Schema:
    """Parse protobuf text that was read from `path`, and check what it refers to."""
    try:
        schema = text_format.Parse(content.decode("utf-8"), schema_pb2.Schema())
    except UnicodeDecodeError as error:
        raise DataError(
            f"expected a schema as UTF-8 text, but byte {error.start} is not UTF-8",
            path=path,
            hint="Write a binary schema as text with tfdv.write_schema_text(schema, path).",
        ) from error
    except RecursionError as error:
        raise DataError(
            "expected a schema as protobuf text, but its messages stand in one another too deeply",
            path=path,
            hint="The fields of a schema are those of tensorflow_metadata/proto/v0/schema.proto.",
        ) from error
    except text_format.ParseError as error:
        problem = _POSITION.sub("", str(error)).rstrip(".")
        raise DataError(
            f"expected a tf.metadata.v0.Schema as protobuf text, but it does not parse: {problem}",
            path=path,
            line=error.GetLine(),
            column=error.GetColumn(),
            hint="The fields of a schema are those of tensorflow_metadata/proto/v0/schema.proto.",
        ) from error
    _check(schema, path)
    return schema


def _check(schema: schema_pb2.Schema, path: str) -> None:
    """Find the contradictions that TFDV passes over and later components trip on."""
    counts = Counter(feature.name for feature in schema.feature)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise DataError(
            f"expected every feature once, but the schema has {', '.join(twice)} more than once",
            path=path,
            hint="Keep one entry a feature.",
        )
    shared = (*schema.string_domain, *schema.int_domain, *schema.float_domain)
    domains = [domain.name for domain in shared]
    for feature in schema.feature:
        if feature.domain and feature.domain not in domains:
            raise DataError(
                f"feature {feature.name!r} has the domain {feature.domain!r}, "
                "which is no domain of the schema",
                path=path,
                hint=suggestion(feature.domain, domains, noun="domain"),
            )


def _only_file(directory: str) -> str:
    names = sorted(name for name in os.listdir(directory) if not name.startswith("."))
    if len(names) != 1:
        raise DataError(
            f"expected one schema file, but the directory has {', '.join(names) or 'none'}",
            path=directory,
        )
    return os.path.join(directory, names[0])
