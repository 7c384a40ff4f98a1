from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal

import pytest

from penstock import Input, Output, component
from penstock._tfx import BaseBeamComponent, BaseComponent
from penstock.artifacts import Examples, Model, Schema
from penstock.errors import ComponentError, WiringError
from penstock_support import example_components as examples

pytestmark = pytest.mark.core


@pytest.fixture
def made():
    return examples.MakeExamples(rows=2)


def test_a_component_is_a_tfx_component_class():
    assert issubclass(examples.TrainModel, BaseComponent)


def test_a_component_that_takes_beam_options_is_a_tfx_beam_component():
    assert issubclass(examples.UsesBeam, BaseBeamComponent)


def test_inputs_outputs_and_results_come_from_the_signature(made):
    trained = examples.TrainModel(examples=made.outputs["examples"])
    assert set(trained.inputs) == {"examples"}
    assert set(trained.outputs) == {"model", "accuracy", "label"}


def test_the_shown_signature_has_only_what_a_caller_gives():
    assert list(inspect.signature(examples.Doubling).parameters) == ["base"]
    assert list(inspect.signature(examples.UsesBeam).parameters) == []


def test_defaults_are_recorded_with_what_is_given(made):
    trained = examples.TrainModel(examples=made.outputs["examples"], rate=2)
    assert trained.exec_properties == {
        "train_args": '{"num_steps": 0, "splits": []}',
        "mode": '"fast"',
        "rate": 2.0,
        "verbose": False,
    }


@pytest.mark.needs("tfx.components")
def test_a_tfx_proto_stands_for_the_dataclass_with_its_fields(made):
    from tfx.proto import trainer_pb2

    trained = examples.TrainModel(
        examples=made.outputs["examples"],
        train_args=trainer_pb2.TrainArgs(splits=["train"], num_steps=5),
    )
    assert trained.exec_properties["train_args"] == '{"num_steps": 5, "splits": ["train"]}'


def test_a_list_of_outputs_becomes_one_input(made):
    first = examples.TrainModel(examples=made.outputs["examples"]).with_id("first")
    second = examples.TrainModel(examples=made.outputs["examples"]).with_id("second")
    joined = examples.Join(models=[first.outputs["model"], second.outputs["model"]])
    assert joined.inputs["models"].get_data_dependent_node_ids() == {"first", "second"}


def test_outputs_that_the_parameters_leave_out_are_absent():
    assert set(examples.Sometimes(wanted=True).outputs) == {"model", "schema"}
    assert set(examples.Sometimes(wanted=False).outputs) == {"model"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "TrainModel needs the input 'examples' (Examples)"),
        (
            {"exmples": None},
            "TrainModel has no input or parameter 'exmples'. Did you mean 'examples'?",
        ),
        (
            {"examples": 3},
            "TrainModel.examples: expected an output that holds Examples, got 3 (int)",
        ),
        ({"model": None}, "'model' is an output: read it as .outputs['model']"),
    ],
)
def test_wrong_wiring_is_told_where_it_is_written(arguments, text):
    with pytest.raises(WiringError) as caught:
        examples.TrainModel(**arguments)
    assert text in str(caught.value)
    assert caught.value.component == "TrainModel"


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"rate": "fast"}, "TrainModel.rate: expected float, got 'fast' (str)"),
        ({"verbose": 1}, "TrainModel.verbose: expected bool, got 1 (int)"),
        ({"mode": "faster"}, "TrainModel.mode: expected one of 'fast', 'slow', got 'faster'"),
        (
            {"train_args": {"steps": 3}},
            "TrainModel.train_args: TrainArgs has no field 'steps'. Did you mean 'num_steps'?",
        ),
        (
            {"train_args": {"num_steps": "3"}},
            "TrainModel.train_args.num_steps: expected int, got '3' (str)",
        ),
    ],
)
def test_a_wrong_parameter_is_told_with_its_place(made, parameters, text):
    with pytest.raises(WiringError) as caught:
        examples.TrainModel(examples=made.outputs["examples"], **parameters)
    assert text in str(caught.value)


def test_an_artifact_of_another_type_is_refused_with_its_source(made):
    trained = examples.TrainModel(examples=made.outputs["examples"])
    with pytest.raises(WiringError, match=r"expected Examples, got Model from TrainModel.outputs"):
        examples.TrainModel(examples=trained.outputs["model"])


def test_a_node_in_place_of_its_output_is_told_which_output(made):
    with pytest.raises(WiringError, match=r"Pass MakeExamples.outputs\['examples'\]"):
        examples.TrainModel(examples=made)


def test_an_unknown_output_is_answered_with_the_nearest(made):
    with pytest.raises(WiringError, match=r"no output 'exampels'. Did you mean 'examples'"):
        made.outputs["exampels"]


def test_a_result_is_wired_to_a_parameter(made):
    trained = examples.TrainModel(examples=made.outputs["examples"])
    report = examples.Report(value=trained.outputs["accuracy"], model=trained.outputs["model"])
    assert not isinstance(report.exec_properties["value"], float)


def test_positional_arguments_are_refused_with_the_form_to_write():
    with pytest.raises(WiringError, match=r"Write TrainModel\(examples=...\)"):
        examples.TrainModel(3)


def test_an_argument_without_annotation_is_refused():
    def Bare(examples: Input[Examples], rate):  # type: ignore[no-untyped-def]
        pass

    with pytest.raises(ComponentError, match="component Bare, argument 'rate' has no annotation"):
        component(Bare)


def test_an_unsupported_parameter_type_is_refused():
    def Odd(schema: Output[Schema], when: complex) -> None:
        pass

    with pytest.raises(ComponentError, match="'when': complex cannot be a parameter"):
        component(Odd)


def test_an_input_that_is_no_artifact_type_is_refused():
    def Odd(rate: Input[float], model: Output[Model]) -> None:
        pass

    with pytest.raises(ComponentError, match="'rate': float is not an artifact type"):
        component(Odd)


def test_a_result_that_is_no_scalar_is_refused():
    def Odd(model: Output[Model]) -> complex:
        return 1j

    with pytest.raises(ComponentError, match="returns complex as 'output'"):
        component(Odd)


def test_under_a_foreign_runner_a_pipeline_parameter_inside_a_value_is_its_default(made):
    from penstock.authoring.component import decode_parameters
    from penstock.authoring.values import PipelineParameter

    trained = examples.TrainModel(
        examples=made.outputs["examples"],
        train_args=examples.TrainArgs(num_steps=PipelineParameter("steps", int, 12)),
    )
    decoded = decode_parameters(examples.TrainModel.interface, trained.exec_properties)
    assert decoded["train_args"] == examples.TrainArgs(num_steps=12)


async def waits(seconds: float) -> int: ...


def yields(rows: int) -> int:
    yield rows


@pytest.mark.parametrize(
    ("function", "kind"), [(waits, "an async function"), (yields, "a generator")]
)
def test_a_function_whose_body_a_call_would_not_run_is_refused(function, kind):
    with pytest.raises(ComponentError) as raised:
        component(function)
    assert f"component {function.__name__} is {kind}: calling it would not run" in str(raised.value)


def returning(kind: Any) -> Any:
    def gives(): ...

    gives.__annotations__["return"] = kind
    return component(gives)().outputs["output"]


def taking(kind: Any, **default: Any) -> Any:
    def takes(value): ...

    takes.__annotations__["value"] = kind
    takes.__defaults__ = (default["default"],) if default else None
    return component(takes)


WIRED = [
    (int, int),
    (int, float),
    (int, int | None),
    (int, Any),
    (float, float),
    (bool, bool),
    (str, str),
    (str, str | None),
    (str, Literal["quick", "full"]),
    (str, examples.Mode),
    (dict, dict[str, int]),
    (list, list[str]),
    (dict, examples.TrainArgs),
]
NOT_WIRED = [
    (str, int),
    (str, float),
    (str, bool),
    (str, dict),
    (str, Any),
    (int, str),
    (int, bool),
    (float, int),
    (bool, int),
    (dict, str),
    (bytes, str),
    (bytes, Any),
]


@pytest.mark.parametrize(("given", "taken"), WIRED)
def test_a_result_is_wired_to_a_parameter_that_can_be_what_it_is(given, taken):
    assert taking(taken)(value=returning(given)).exec_properties["value"] is not None


@pytest.mark.parametrize(("given", "taken"), NOT_WIRED)
def test_a_result_of_another_type_is_refused_where_it_is_wired(given, taken):
    with pytest.raises(WiringError) as raised:
        taking(taken)(value=returning(given))
    with pytest.raises(WiringError):
        taking(taken)(value=returning(given).future()[0].value)
    kind = "dict or list" if given is dict else given.__name__
    assert f", got {kind} from gives.outputs['output']" in str(raised.value)


def test_text_that_would_be_taken_for_json_is_refused_where_it_is_wired():
    with pytest.raises(WiringError, match="Text is wired to str, and to str | None where"):
        taking(str | None, default="quick")(value=returning(str))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"folder": Path("/data")},
            "takes.value['folder']: expected what JSON can hold, got Posix",
        ),
        ({0: 1.0}, "takes.value: expected keys of text, got 0 (int)"),
        ([{1}], "takes.value[0]: expected what JSON can hold, got {1} (set). Write sorted(...)"),
    ],
)
def test_a_parameter_that_cannot_be_written_down_is_refused_by_its_place(value, said):
    with pytest.raises(WiringError) as raised:
        taking(Any)(value=value)
    assert said in str(raised.value)


def test_an_int_beyond_ml_metadatas_is_refused_where_it_is_given():
    with pytest.raises(WiringError, match="takes.value: 9223372036854775808 does not fit into"):
        taking(int)(value=2**63)


def test_an_enum_of_numbers_is_read_as_it_was_recorded():
    from penstock.authoring.component import decode_parameters
    from penstock.components import ParquetExampleGen
    from penstock.data.payload import PayloadFormat

    recorded = ParquetExampleGen(
        input_base="data", output_data_format=PayloadFormat.FORMAT_PARQUET
    ).exec_properties
    decoded = decode_parameters(ParquetExampleGen.interface, recorded)
    assert decoded["output_data_format"] is PayloadFormat.FORMAT_PARQUET
