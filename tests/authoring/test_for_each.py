"""Loops as they are written: what they take, and what is refused where it stands."""

from __future__ import annotations

import pytest

from penstock import Cond, ForEach, _tfx, compile_pipeline, ir, pipeline
from penstock.artifacts import Examples
from penstock.errors import PipelineError, WiringError
from penstock.project.scalars import scalar_of
from penstock_support import loop_components as loops

pytestmark = pytest.mark.core


def compiled(function):
    return compile_pipeline(pipeline(name="toy")(function), pipeline_root="/root")


def test_a_node_of_a_loop_is_one_node_of_the_ir():
    nodes = ir.view(compile_pipeline(loops.of_rates, pipeline_root="/root")).nodes
    assert sorted(nodes) == ["Compare", "Measure", "Train"]
    assert [loop.name for loop in nodes["Train"].loops] == ["for-each-1"]


def test_a_list_is_a_parameter_of_the_run():
    parameter = ir.run_parameters(compile_pipeline(loops.of_rates, pipeline_root="/root"))["rates"]
    assert (parameter.type, parameter.default) == (list, [0.1, 0.2, 0.3])


def test_nodes_of_tfx_take_items_as_they_take_parameters():
    def toy():
        with ForEach(["/somewhere/a", "/somewhere/b"]) as address:
            imported = _tfx.Importer(source_uri=address, artifact_type=Examples)
        return [imported]

    bound = ir.bind(compiled(toy), run_id="run", parameters={})
    unfolded = ir.unfold_given(ir.view(bound))
    addresses = [node.constants["artifact_uri"] for node in unfolded]
    assert addresses == ["/somewhere/a", "/somewhere/b"]


def test_a_choice_takes_items_that_are_among_its_texts():
    def toy():
        with ForEach(["small", "large"]) as size:
            sized = loops.Sized(size=size)
        return [sized]

    assert list(ir.view(compiled(toy)).nodes) == ["Sized"]


@pytest.mark.parametrize(("text", "expected"), [("[]", []), ('[0.5, "a"]', [0.5, "a"])])
def test_a_list_is_given_as_json(text, expected):
    assert scalar_of(text, list) == expected


@pytest.mark.parametrize("text", ["1, 2", "{}", ""])
def test_what_is_no_list_is_refused_with_how_to_write_one(text):
    with pytest.raises(ValueError, match=r"expected a list as JSON, as \[1, 2\], got"):
        scalar_of(text, list)


def test_an_item_that_a_parameter_does_not_take_is_named():
    def toy():
        with ForEach([0.1, "fast"]) as rate:
            loops.Train(rate=rate)

    with pytest.raises(WiringError, match="expected float, got 'fast' .str. in the item 1"):
        compiled(toy)


def test_a_key_that_an_item_lacks_is_named():
    def toy():
        with ForEach([{"rate": 1}, {"speed": 2}]) as item:
            loops.Train(rate=item["rate"])

    with pytest.raises(PipelineError, match="the item {'speed': 2} has no 'rate'"):
        compiled(toy)


def test_an_item_outside_of_its_loop_is_refused():
    def toy():
        with ForEach([1, 2]) as rate:
            loops.Train(rate=rate)
        return [loops.Train(rate=rate).with_id("again")]

    with pytest.raises(PipelineError, match="is used outside of its loop"):
        compiled(toy)


def test_an_artifact_of_an_item_outside_of_its_loop_is_refused():
    def toy():
        with ForEach(["a", "b"]) as name:
            rows = loops.Rows(name=name)
        with ForEach(rows.outputs["examples"]) as examples:
            loops.Read(examples=examples)
        return [loops.Read(examples=examples).with_id("again")]

    with pytest.raises(WiringError, match="the item of a ForEach is used outside of it"):
        compiled(toy)


def test_an_input_for_one_artifact_does_not_take_what_all_items_made():
    def toy():
        with ForEach([1, 2]) as rate:
            trained = loops.Train(rate=rate)
        return [loops.Measure(model=trained.outputs["model"])]

    with pytest.raises(WiringError, match=r"Take them as model: Input\[list\[Model\]\]"):
        compiled(toy)


def test_a_parameter_does_not_take_what_all_items_returned():
    def toy():
        with ForEach([1, 2]) as rate:
            measured = loops.Measure(model=loops.Train(rate=rate).outputs["model"])
        return [loops.Train(rate=measured.outputs["output"]).with_id("again")]

    with pytest.raises(WiringError, match="got a list of them"):
        compiled(toy)


def test_a_condition_outside_on_what_differs_by_item_is_refused():
    def toy():
        with ForEach([1, 2]) as rate:
            measured = loops.Measure(model=loops.Train(rate=rate).outputs["model"])
        with Cond(measured.outputs["output"] > 1):
            again = loops.Train(rate=3).with_id("again")
        return [again]

    with pytest.raises(PipelineError, match="Write the Cond inside the ForEach"):
        compiled(toy)


def test_a_condition_on_an_item_says_to_let_a_component_return_it():
    def toy():
        with ForEach([1, 2]) as rate, Cond(rate == 1):
            pass

    with pytest.raises(PipelineError, match="let a component return it"):
        compiled(toy)


@pytest.mark.parametrize("given", [3, "abc", {"a": 1}, None])
def test_what_is_no_list_is_refused(given):
    with pytest.raises(PipelineError, match="ForEach: expected a list, got"):
        ForEach(given)


def test_a_single_value_of_a_node_is_no_list():
    def toy():
        measured = loops.Measure(model=loops.Train(rate=1).outputs["model"])
        with ForEach(measured.outputs["output"]):
            pass

    with pytest.raises(PipelineError, match="got one Float, which Measure returns"):
        compiled(toy)


def test_a_parameter_that_is_no_list_is_no_list():
    def toy(rate: float = 1.0):
        with ForEach(rate):
            pass

    with pytest.raises(PipelineError, match="got <pipeline parameter rate: float>"):
        compiled(toy)


def test_a_list_of_the_wrong_items_is_no_default():
    with pytest.raises(PipelineError, match="has list"):

        @pipeline
        def toy(rates: list[set] = []):  # noqa: B006  # it is refused
            return rates


def test_a_loop_is_no_part_of_a_pipeline_that_is_built_for_tfx():
    with pytest.raises(PipelineError, match="node Train stands in a ForEach of Penstock's") as told:
        loops.of_rates.build(pipeline_root="/root")
    assert "(for-each-1)" in told.value.message
    assert "loop_components.py" in told.value.message
    assert "LocalRunner().run" in told.value.hint


def raw():
    """A pipeline in TFX's notation, whose loop is Penstock's and takes nothing of an item."""
    with ForEach([1, 2]):
        sized = loops.Sized(size="small")
    return _tfx.Pipeline("raw", "/root", components=[sized])


def test_a_loop_in_a_pipeline_of_tfx_s_is_refused_where_tfx_compiles_it():
    with pytest.raises(PipelineError, match="node Sized stands in a ForEach of Penstock's") as told:
        _tfx.Compiler().compile(raw())
    assert "LocalRunner().run" in told.value.hint


def test_a_loop_in_a_pipeline_of_tfx_s_is_compiled_by_penstock_as_often_as_wanted():
    pipeline = raw()
    for _ in range(2):
        [node] = ir.view(ir.compile_pipeline(pipeline))
        assert [loop.kind for loop in node.loops] == ["given"]
    with pytest.raises(PipelineError, match="would run it once"):
        _tfx.Compiler().compile(pipeline)
