"""Who does the work of a node of TFX's is decided by what stands in its pipeline."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from penstock import _tfx, ir
from penstock.artifacts import Examples
from penstock.authoring.standing_in import NotAccelerated, TfxNode, read_parameters
from penstock.components.standing_in import STAND_INS, unusual_examples
from penstock.data.payload import PayloadFormat
from penstock.data.splits import InputConfig, InputSplit
from penstock.execution import acceleration

CSV = "tfx.components.example_gen.csv_example_gen.executor.Executor"
CSV_KIND = "tfx.components.example_gen.csv_example_gen.component.CsvExampleGen"
TRAINER = "tfx.components.trainer.executor.GenericExecutor"
OURS = "penstock.components.csv_example_gen.for_tfx.Executor"
pytestmark = pytest.mark.core


def node(
    parameters: dict[str, Any],
    *,
    kind: str = CSV_KIND,
    executor: str = CSV,
    beam_args: tuple[str, ...] = (),
) -> ir.Node:
    proto = _tfx.pipeline_pb2.PipelineNode()
    proto.node_info.id = "Node"
    proto.node_info.type.name = kind
    for name, value in parameters.items():
        _tfx.data_types_utils.set_metadata_value(
            proto.parameters.parameters[name].field_value, value
        )
    spec = _tfx.executable_spec_pb2.BeamExecutableSpec()
    spec.python_executor_spec.class_path = executor
    for arg in beam_args:
        spec.beam_pipeline_args_placeholders.add().value.string_value = arg
    pipeline = _tfx.pipeline_pb2.Pipeline()
    driver = _tfx.executable_spec_pb2.PythonClassExecutableSpec()
    driver.class_path = "tfx.components.example_gen.driver.FileBasedDriver"
    return ir.Node(proto, pipeline.pipeline_info, pipeline.runtime_spec, spec, driver)


def worked(one: ir.Node, *, enabled: bool = True) -> ir.Node:
    view = ir.Pipeline(_tfx.pipeline_pb2.Pipeline(), {"Node": one})
    return acceleration.accelerated(view, enabled=enabled).nodes["Node"]


GIVEN = {
    "input_base": "/data",
    "input_config": '{"splits": [{"name": "single_split", "pattern": "*"}]}',
    "output_config": '{"split_config": {"splits": [{"name": "all", "hash_buckets": 1}]}}',
    "output_data_format": 6,
    "output_file_format": 5,
}


def test_an_engine_takes_the_place_of_tfx_s_executor():
    ours = worked(node(GIVEN))
    assert ours.executor_path == OURS
    assert ours.done_by == "accelerated"


def test_an_equal_driver_takes_the_place_of_tfx_s():
    driver = worked(node(GIVEN)).driver_path
    assert driver == "penstock.components.csv_example_gen.tfx_input.Driver"


def test_its_type_and_its_parameters_stay_tfx_s():
    theirs = node(GIVEN)
    assert worked(theirs).proto == theirs.proto


def test_an_accelerated_node_loads_nothing_of_tfx_s_components():
    from penstock.execution import work

    assert work.preloads(worked(node(GIVEN))) == ()


def test_an_executor_of_tfx_s_needs_its_own_module_and_not_the_whole_library():
    from penstock.execution import work

    assert work.preloads(node(GIVEN)) == ("tensorflow", CSV.rpartition(".")[0])


@pytest.mark.parametrize(
    ("code", "asks"),
    [
        ("from tfx import v1 as tfx", True),
        ("from tfx.components import Trainer", True),
        ("import tfx.components", True),
        ("from tfx.components.trainer.fn_args_utils import FnArgs", False),
        ("from tfx_bsl.public import tfxio", False),
    ],
)
def test_where_the_user_s_code_imports_the_whole_library_the_executor_needs_it(
    tmp_path, code, asks
):
    from penstock.execution import work

    module = tmp_path / "model.py"
    module.write_text(code)
    trainer = node({"module_file": str(module)}, executor=TRAINER)
    assert ("tfx.components" in work.preloads(trainer)) is asks


def test_what_one_made_is_not_taken_for_what_the_other_would_make():
    from penstock.execution.cache import code_digests, node_fingerprint

    theirs, ours = node(GIVEN), worked(node(GIVEN))
    assert node_fingerprint(theirs) != node_fingerprint(ours)
    assert "penstock.components.csv_example_gen.for_tfx" in code_digests(ours.executor_path, {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"custom_config": '{"custom_config": {}}'}, "custom_config is set"),
        ({"invented": "1"}, "invented is set"),
        (
            {"input_config": '{"splits": [{"name": "a", "pattern": "*", "weight": 2}]}'},
            "input_config.splits[0]: InputSplit has no field 'weight'",
        ),
        ({"output_config": "{"}, "output_config is no JSON"),
    ],
)
def test_what_is_not_known_is_left_to_tfx(changes, reason):
    theirs = worked(node({**GIVEN, **changes}))
    assert theirs.executor_path == CSV
    assert theirs.done_by == f"TFX's executor: {reason}"


@pytest.mark.parametrize("value", ["", "null"])
def test_an_option_that_is_not_set_does_not_matter(value):
    assert worked(node({**GIVEN, "custom_config": value})).done_by == "accelerated"


def test_a_custom_executor_does_its_own_work():
    theirs = worked(node(GIVEN, executor="my.code.Executor"))
    assert theirs.executor_path == "my.code.Executor"
    assert theirs.done_by == "TFX's executor: its executor is my.code.Executor"


def test_an_executor_without_an_engine_does_its_own_work():
    theirs = worked(node({}, executor=TRAINER))
    assert theirs.done_by == "TFX's executor: there is no engine for it"


def test_nothing_is_said_of_a_node_that_is_not_tfx_s():
    theirs = node({}, kind="my.code.Component", executor="my.code.Executor")
    assert worked(theirs) is theirs


@pytest.mark.parametrize(
    ("args", "done_by"),
    [
        (("--direct_num_workers=0",), "accelerated"),
        (("--runner=DirectRunner",), "accelerated"),
        (("--runner", "FlinkRunner"), "TFX's executor: its Beam runner is FlinkRunner"),
    ],
)
def test_a_runner_of_beam_s_that_is_elsewhere_is_asked(args, done_by):
    assert worked(node(GIVEN, beam_args=args)).done_by == done_by


def test_acceleration_can_be_off():
    theirs = worked(node(GIVEN), enabled=False)
    assert theirs.executor_path == CSV
    assert theirs.done_by == "TFX's executor: acceleration is off"


@pytest.mark.parametrize(("theirs", "ours"), STAND_INS.items())
def test_each_engine_says_itself_for_whom_it_stands(theirs, ours):
    module, _, name = ours.rpartition(".")
    assert getattr(importlib.import_module(module), name).stands_for == theirs


@dataclass(frozen=True)
class Options:
    """What a parameter may be."""

    text: str
    switch: bool = False
    config: InputConfig = field(default_factory=InputConfig)
    kind: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE
    never: None = None


def test_parameters_are_read_as_tfx_records_them():
    splits = {"splits": [{"name": "a", "pattern": "b"}]}
    recorded = {"text": "null and void", "switch": 1, "kind": 11, "config": json.dumps(splits)}
    assert read_parameters(recorded, Options) == Options(
        "null and void", True, InputConfig((InputSplit("a", "b"),)), PayloadFormat.FORMAT_PROTO
    )


def test_a_parameter_without_a_default_has_to_be_there():
    with pytest.raises(NotAccelerated, match="text is not set"):
        read_parameters({}, Options)


def test_a_stand_in_refuses_what_its_inputs_rule_out():
    executor = acceleration.stand_in_for(CSV)
    assert executor is not None
    parameters = read_parameters({**GIVEN, "input_base": "s3://rows"}, executor.parameters)
    reason = executor.obstacle_of(TfxNode({}, {}), parameters)
    assert reason == "input_base is in an object store"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("payload_format", "FORMAT_PROTO", "the examples are FORMAT_PROTO"),
        ("custom_split_pattern", "{}", "the examples have a custom_split_pattern"),
        ("data_view_uri", "/view", "the examples have a data view"),
        ("payload_format", "FORMAT_TF_EXAMPLE", ""),
    ],
)
def test_unusual_examples_are_read_by_tfx(name, value, reason):
    examples = Examples()
    examples.set_string_custom_property(name, value)
    assert unusual_examples([Examples(), examples]) == reason


@pytest.mark.parametrize(
    ("component", "parameters", "reason"),
    [
        ("statistics_gen", {"sharded_stats_output": 1}, "sharded_stats_output is set"),
        ("statistics_gen", {"sample_rate_by_split": '{"a": 0.1}'}, "sample_rate_by_split is set"),
        ("bulk_inferrer", {"model_spec": '{"tag": ["x"]}'}, "the tag of model_spec is set"),
        ("transform", {"custom_config": '{"a": {"__type__": 1}}'}, "custom_config has an object"),
        (
            "evaluator",
            {"eval_config": '{"model_specs": [{"signature_name": "eval"}]}'},
            "a model spec is of an Estimator's graph",
        ),
        (
            "pusher",
            {"push_destination": '{"filesystem": {"base_directory": "gs://a"}}'},
            "push_destination is in an object store",
        ),
    ],
)
def test_options_without_an_engine_are_left_to_tfx(component, parameters, reason):
    executor = acceleration.stand_in_for(f"tfx.components.{component}.executor.Executor")
    assert executor is not None
    node = TfxNode({"examples": [Examples()]}, {})
    assert executor.obstacle_of(node, read_parameters(parameters, executor.parameters)) == reason


@pytest.mark.parametrize("component", ["transform", "bulk_inferrer"])
def test_several_examples_are_left_to_tfx(component):
    executor = acceleration.stand_in_for(f"tfx.components.{component}.executor.Executor")
    assert executor is not None
    node = TfxNode({"examples": [Examples(), Examples()]}, {})
    reason = executor.obstacle_of(node, read_parameters({}, executor.parameters))
    assert reason == "there are several examples"


def test_a_model_that_comes_from_an_infra_blessing_is_pushed_by_tfx():
    executor = acceleration.stand_in_for("tfx.components.pusher.executor.Executor")
    assert executor is not None
    recorded = {"push_destination": '{"filesystem": {"base_directory": "served"}}'}
    reason = executor.obstacle_of(TfxNode({}, {}), read_parameters(recorded, executor.parameters))
    assert reason == "the model comes from the infra_blessing"


@pytest.mark.parametrize(
    ("component", "parameters", "reason"),
    [
        (
            "example_validator",
            {"custom_validation_config": "{}"},
            "custom_validation_config is set",
        ),
        ("transform", {"module_path": "a@b"}, "module_path is set"),
        ("evaluator", {"eval_config": "{}", "module_path": "a@b"}, "module_path is set"),
        ("evaluator", {"eval_config": "{}", "add_split_name": 1}, "add_split_name is set"),
        ("evaluator", {"feature_slicing_spec": "{}"}, "feature_slicing_spec is set"),
        ("pusher", {"push_destination": '{"other": 1}'}, "push_destination: PushDestination has"),
    ],
)
def test_options_that_no_engine_has_are_named(component, parameters, reason):
    executor = acceleration.stand_in_for(f"tfx.components.{component}.executor.Executor")
    assert executor is not None
    with pytest.raises(NotAccelerated, match=reason):
        read_parameters(parameters, executor.parameters)


def test_what_tfx_s_pusher_does_not_look_at_does_not_matter():
    executor = acceleration.stand_in_for("tfx.components.pusher.executor.Executor")
    assert executor is not None
    recorded = {
        "push_destination": '{"filesystem": {"base_directory": "served"}}',
        "custom_config": '{"ai_platform": {}}',
    }
    parameters = read_parameters(recorded, executor.parameters)
    assert parameters.push_destination.filesystem.base_directory == "served"
