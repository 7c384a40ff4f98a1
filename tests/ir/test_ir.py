from __future__ import annotations

import pytest

from penstock import ir, pipeline
from penstock.errors import ParameterError, PipelineError
from penstock_support import example_components as examples

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def compiled():
    return ir.compile_pipeline(examples.training, pipeline_root="/root")


def parameters_of(bound, node_id):
    node = ir.view(bound).nodes[node_id].proto
    return {
        name: getattr(value.field_value, value.field_value.WhichOneof("value"))
        for name, value in node.parameters.parameters.items()
        if value.WhichOneof("value") == "field_value"
    }


def test_the_parameters_of_a_run_are_in_the_ir_with_their_defaults(compiled):
    found = {p.name: (p.type, p.default) for p in ir.run_parameters(compiled).values()}
    assert found == {
        "rows": (int, 3),
        "steps": (int, 7),
        "rate": (float, 0.25),
        "verbose": (bool, False),
    }


def test_a_value_reaches_inside_structured_parameters(compiled):
    bound = ir.bind(compiled, run_id="r", parameters={"steps": 11})
    assert parameters_of(bound, "TrainModel")["train_args"] == (
        '{"num_steps": 11, "splits": ["train"]}'
    )


def test_defaults_fill_in_for_what_is_not_given(compiled):
    bound = ir.bind(compiled, run_id="r", parameters={})
    assert parameters_of(bound, "MakeExamples")["rows"] == 3
    assert parameters_of(bound, "TrainModel")["rate"] == 0.25


def test_falsy_defaults_are_defaults():
    @pipeline
    def falsy(rows: int = 0):
        return examples.MakeExamples(rows=rows)

    bound = ir.bind(ir.compile_pipeline(falsy, pipeline_root="/r"), run_id="r", parameters={})
    assert parameters_of(bound, "MakeExamples")["rows"] == 0


def test_binding_leaves_the_compiled_pipeline_as_it_was(compiled):
    before = compiled.SerializeToString(deterministic=True)
    ir.bind(compiled, run_id="r", parameters={"steps": 1})
    assert compiled.SerializeToString(deterministic=True) == before


def test_an_int_is_accepted_for_a_float(compiled):
    bound = ir.bind(compiled, run_id="r", parameters={"rate": 2})
    assert parameters_of(bound, "TrainModel")["rate"] == 2.0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"step": 1}, "pipeline training has no parameter 'step'. Did you mean 'steps'?"),
        ({"steps": "1"}, "parameter 'steps': expected int, got '1' (str)"),
        ({"verbose": 1}, "parameter 'verbose': expected bool, got 1 (int)"),
    ],
)
def test_wrong_parameters_are_refused(compiled, given, text):
    with pytest.raises(ParameterError) as caught:
        ir.bind(compiled, run_id="r", parameters=given)
    assert text in str(caught.value)


def test_a_parameter_without_a_default_must_be_given():
    @pipeline
    def needy(rows: int):
        return examples.MakeExamples(rows=rows)

    compiled = ir.compile_pipeline(needy, pipeline_root="/r")
    with pytest.raises(ParameterError, match=r"needs the parameter 'rows' \(int\).*-p rows=VALUE"):
        ir.bind(compiled, run_id="r", parameters={})


def test_what_is_no_pipeline_is_refused():
    with pytest.raises(PipelineError, match="expected a pipeline, got 3"):
        ir.compile_pipeline(3)


def test_compiling_twice_gives_the_same_ir():
    first = ir.compile_pipeline(examples.training, pipeline_root="/root")
    second = ir.compile_pipeline(examples.training, pipeline_root="/root")
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
