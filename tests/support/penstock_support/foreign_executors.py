"""Executors and a component that are derived from TFX's."""

from typing import Any

import apache_beam as beam
from tfx import v1 as tfx
from tfx.components import CsvExampleGen
from tfx.components.example_gen.csv_example_gen import executor as csv_executor
from tfx.components.trainer import executor as trainer_executor
from tfx.dsl.components.base import executor_spec


class OwnGenExecutor(csv_executor.Executor):
    """An executor on Beam."""


class OwnGen(CsvExampleGen):
    """A component with an executor of its own."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(OwnGenExecutor)


class OwnTrainerExecutor(trainer_executor.GenericExecutor):
    """An executor that does what TFX's does."""

    def Do(self, *arguments: Any) -> Any:
        """Do it."""
        return super().Do(*arguments)


@tfx.dsl.components.component(use_beam=True)
def OnBeam(
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    pipeline: tfx.dsl.components.BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """A function that is given a Beam pipeline."""
    model.set_string_custom_property("made", str(pipeline))
