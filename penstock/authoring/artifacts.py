"""The standard artifact types: TFX's own classes, and the few that Penstock adds."""

from __future__ import annotations

from penstock._tfx import artifact as _artifact
from penstock._tfx import standard_artifacts as _standard

Artifact = _artifact.Artifact

Boolean = _standard.Boolean
Bytes = _standard.Bytes
Config = _standard.Config
DataView = _standard.DataView
ExampleAnomalies = _standard.ExampleAnomalies
ExampleStatistics = _standard.ExampleStatistics
ExampleValidationMetrics = _standard.ExampleValidationMetrics
Examples = _standard.Examples
ExamplesDiff = _standard.ExamplesDiff
ExternalArtifact = _standard.ExternalArtifact
Float = _standard.Float
HyperParameters = _standard.HyperParameters
InferenceResult = _standard.InferenceResult
InfraBlessing = _standard.InfraBlessing
Integer = _standard.Integer
JsonValue = _standard.JsonValue
Model = _standard.Model
ModelBlessing = _standard.ModelBlessing
ModelEvaluation = _standard.ModelEvaluation
ModelRun = _standard.ModelRun
PushedModel = _standard.PushedModel
Schema = _standard.Schema
String = _standard.String
TransformCache = _standard.TransformCache
TransformGraph = _standard.TransformGraph
TunerResults = _standard.TunerResults


class Tables(_artifact.Artifact):
    """Tabular files (Parquet or CSV) in a folder, before they become examples."""

    TYPE_NAME = "Tables"


class ModelRegistration(_artifact.Artifact):
    """That a model was registered: a file that says as which version, or that it was not."""

    TYPE_NAME = "ModelRegistration"


class MonitorReport(_artifact.Artifact):
    """What a monitor measured in a window of time: `report.json`."""

    TYPE_NAME = "MonitorReport"


class ShadowReport(_artifact.Artifact):
    """What a new version of a model did beside the one that serves: a page, and its numbers."""

    TYPE_NAME = "ShadowReport"


__all__ = [
    "Artifact",
    "Boolean",
    "Bytes",
    "Config",
    "DataView",
    "ExampleAnomalies",
    "ExampleStatistics",
    "ExampleValidationMetrics",
    "Examples",
    "ExamplesDiff",
    "ExternalArtifact",
    "Float",
    "HyperParameters",
    "InferenceResult",
    "InfraBlessing",
    "Integer",
    "JsonValue",
    "Model",
    "ModelBlessing",
    "ModelEvaluation",
    "ModelRegistration",
    "ModelRun",
    "MonitorReport",
    "PushedModel",
    "Schema",
    "ShadowReport",
    "String",
    "Tables",
    "TransformCache",
    "TransformGraph",
    "TunerResults",
]
