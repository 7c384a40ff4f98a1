"""The work of TFX's ImportSchemaGen."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.import_schema_gen.in_process import import_schema


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's ImportSchemaGen."""

    schema_file: str


@stands_in_for("tfx.components.schema_gen.import_schema_gen.executor.Executor")
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Copy a schema file, byte for byte."""
    import_schema(parameters.schema_file, node.output("schema").uri)
