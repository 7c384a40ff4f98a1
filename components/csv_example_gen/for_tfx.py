"""The work of TFX's CsvExampleGen."""

from __future__ import annotations

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.csv_example_gen import tfx_input
from penstock.components.csv_example_gen.tfx_input import ExampleGenParameters
from penstock.data.csv_options import CsvOptions
from penstock.data.payload import PayloadFormat


def _obstacle(node: TfxNode, parameters: ExampleGenParameters) -> str:
    if parameters.output_data_format is not PayloadFormat.FORMAT_TF_EXAMPLE:
        return f"output_data_format is {parameters.output_data_format.name}"
    return tfx_input.obstacle(node, parameters)


@stands_in_for(
    "tfx.components.example_gen.csv_example_gen.executor.Executor",
    obstacle=_obstacle,
    drivers=tfx_input.DRIVERS,
)
def Executor(node: TfxNode, parameters: ExampleGenParameters) -> None:
    """Read the files into splits; each input split has types of its own, as in TFX."""
    from penstock.components.csv_example_gen import in_process

    to = tfx_input.destination(node, parameters)
    in_process.generate_examples(
        tfx_input.files_of(parameters),
        to,
        CsvOptions(),
        node.context.progress,
        node.beam,
        aligned=False,
    )
    tfx_input.describe(node.output("examples"), parameters, to.split_names)
