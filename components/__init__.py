"""The component library, with TFX's names; each is loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.components.avro_example_gen.component import AvroExampleGen
    from penstock.components.bulk_inferrer.component import BulkInferrer
    from penstock.components.csv_example_gen.component import CsvExampleGen
    from penstock.components.distribution_validator.component import DistributionValidator
    from penstock.components.drift_monitor.component import DriftMonitor
    from penstock.components.evaluator.component import Evaluator
    from penstock.components.example_diff.component import ExampleDiff
    from penstock.components.example_validator.component import ExampleValidator
    from penstock.components.import_example_gen.component import ImportExampleGen
    from penstock.components.import_schema_gen.component import ImportSchemaGen
    from penstock.components.infra_validator.component import InfraValidator
    from penstock.components.merge_tables.component import MergeTables
    from penstock.components.model_registrar.component import ModelRegistrar
    from penstock.components.parquet_example_gen.component import ParquetExampleGen
    from penstock.components.performance_monitor.component import PerformanceMonitor
    from penstock.components.pusher.component import Pusher
    from penstock.components.quality_monitor.component import QualityMonitor
    from penstock.components.resolvers.component import (
        LatestArtifact,
        LatestBlessedModel,
        PreviousWindow,
        RegisteredModel,
        ServedModel,
    )
    from penstock.components.schema_gen.component import SchemaGen
    from penstock.components.serving_log_gen.component import ServingLogGen
    from penstock.components.statistics_gen.component import StatisticsGen
    from penstock.components.traffic_monitor.component import TrafficMonitor
    from penstock.components.trainer.component import Trainer
    from penstock.components.transform.component import Transform
    from penstock.components.tuner.component import Tuner

_HOMES = {
    "AvroExampleGen": "avro_example_gen",
    "BulkInferrer": "bulk_inferrer",
    "CsvExampleGen": "csv_example_gen",
    "DistributionValidator": "distribution_validator",
    "DriftMonitor": "drift_monitor",
    "Evaluator": "evaluator",
    "ExampleDiff": "example_diff",
    "ExampleValidator": "example_validator",
    "ImportExampleGen": "import_example_gen",
    "ImportSchemaGen": "import_schema_gen",
    "InfraValidator": "infra_validator",
    "LatestArtifact": "resolvers",
    "LatestBlessedModel": "resolvers",
    "MergeTables": "merge_tables",
    "ModelRegistrar": "model_registrar",
    "ParquetExampleGen": "parquet_example_gen",
    "PerformanceMonitor": "performance_monitor",
    "PreviousWindow": "resolvers",
    "Pusher": "pusher",
    "QualityMonitor": "quality_monitor",
    "RegisteredModel": "resolvers",
    "SchemaGen": "schema_gen",
    "ServedModel": "resolvers",
    "ServingLogGen": "serving_log_gen",
    "StatisticsGen": "statistics_gen",
    "TrafficMonitor": "traffic_monitor",
    "Trainer": "trainer",
    "Transform": "transform",
    "Tuner": "tuner",
}

__all__ = [
    "AvroExampleGen",
    "BulkInferrer",
    "CsvExampleGen",
    "DistributionValidator",
    "DriftMonitor",
    "Evaluator",
    "ExampleDiff",
    "ExampleValidator",
    "ImportExampleGen",
    "ImportSchemaGen",
    "InfraValidator",
    "LatestArtifact",
    "LatestBlessedModel",
    "MergeTables",
    "ModelRegistrar",
    "ParquetExampleGen",
    "PerformanceMonitor",
    "PreviousWindow",
    "Pusher",
    "QualityMonitor",
    "RegisteredModel",
    "SchemaGen",
    "ServedModel",
    "ServingLogGen",
    "StatisticsGen",
    "TrafficMonitor",
    "Trainer",
    "Transform",
    "Tuner",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}.component")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
