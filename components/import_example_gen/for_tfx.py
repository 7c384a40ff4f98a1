"""The work of TFX's ImportExampleGen."""

from __future__ import annotations

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.csv_example_gen import tfx_input
from penstock.components.csv_example_gen.tfx_input import ExampleGenParameters
from penstock.data.payload import PayloadFormat


def _obstacle(node: TfxNode, parameters: ExampleGenParameters) -> str:
    if parameters.output_data_format is PayloadFormat.FORMAT_PARQUET:
        # TFX decides on the split of a row by Python's pickle of it.
        return "output_data_format is FORMAT_PARQUET"
    return tfx_input.obstacle(node, parameters)


@stands_in_for(
    "tfx.components.example_gen.import_example_gen.executor.Executor",
    obstacle=_obstacle,
    drivers=tfx_input.DRIVERS,
)
def Executor(node: TfxNode, parameters: ExampleGenParameters) -> None:
    """Read the records of every input split, and write them to the splits they belong to."""
    from penstock.components.import_example_gen import in_process

    to = tfx_input.destination(node, parameters)
    in_process.generate_examples(
        tfx_input.files_of(parameters), to, node.context.progress, node.beam
    )
    tfx_input.describe(node.output("examples"), parameters, to.split_names)
