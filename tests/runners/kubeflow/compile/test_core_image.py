"""Nodes that need no more than the core have the small image, where the profile names one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfx.dsl.components.common.importer import Importer
from tfx.dsl.experimental.conditionals import conditional

from penstock import pipeline
from penstock.artifacts import Model
from penstock.components import CsvExampleGen, ImportSchemaGen, InfraValidator, Transform
from penstock.pipelines.flights.frameworks import pipeline as flights
from penstock.pods import PodOptions
from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
from penstock_support.core_components import Boosted, ImportsLater, Next
from penstock_support.kubeflow_pipelines import IMAGE, Count, Notify, cluster

pytestmark = pytest.mark.core
ROOT = Path(__file__).parents[4]
SMALL = "registry.example/small@sha256:" + "1" * 64


def images(definition, **options):
    compiled = compile_for_kubeflow(definition, cluster(**options), ROOT)
    deployment = compiled.spec.deployment_spec
    return {
        name.removeprefix("exec-"): executor["container"]["image"]
        for name, executor in deployment["executors"].items()
    }


@pipeline
def several():
    gen = CsvExampleGen(input_base="s3://bucket/data")
    schema = ImportSchemaGen(schema_file="s3://bucket/schema.pbtxt")
    transform = Transform(
        examples=gen.outputs["examples"], schema=schema.outputs["schema"], module_path="json"
    )
    on_beam = CsvExampleGen(input_base="s3://bucket/data").with_id("OnBeam")
    on_beam.with_beam_pipeline_args(["--runner=FlinkRunner"])
    return [gen, schema, transform, on_beam, Count(start=1), Boosted(value=1)]


def test_nodes_that_need_an_extra_have_the_full_image():
    assert images(several, core_image=SMALL) == {
        "csvexamplegen": SMALL,
        "importschemagen": SMALL,
        "count": SMALL,
        "transform": IMAGE,
        "onbeam": IMAGE,
        "boosted": IMAGE,
    }


def test_without_a_core_image_all_have_the_one():
    assert set(images(several).values()) == {IMAGE}


def test_code_beside_the_component_that_imports_what_others_made_needs_the_full_image():
    @pipeline
    def toy():
        return [Next(value=1), ImportsLater(value=1)]

    # Both stand in one module, which imports a package that the core has not.
    assert set(images(toy, core_image=SMALL).values()) == {IMAGE}


def test_a_node_s_own_image_counts_for_more():
    @pipeline
    def toy():
        return [Count(start=1), Notify()]

    own = {"Count": PodOptions(image="registry.example/own:1")}
    assert images(toy, core_image=SMALL, nodes=own) == {
        "count": "registry.example/own:1",
        "notify": SMALL,
    }


def test_a_condition_is_decided_in_the_small_image():
    @pipeline
    def toy():
        count = Count(start=1)
        with conditional.Cond(count.outputs["output"].future()[0].value > 1):
            boosted = Boosted(value=1)
        return [count, boosted]

    assert images(toy, core_image=SMALL) == {
        "count": SMALL,
        "decide-boosted": SMALL,
        "boosted": IMAGE,
    }


def test_what_loads_a_model_has_the_image_of_what_trained_it():
    chosen = images(flights.sklearn, core_image=SMALL)
    full = {name for name, image in chosen.items() if image == IMAGE}
    assert full == {"trainer", "evaluator", "infravalidator"}


def test_a_model_from_outside_may_need_anything():
    @pipeline
    def checking():
        model = Importer(source_uri="s3://bucket/model", artifact_type=Model).outputs["result"]
        return [InfraValidator(model=model)]

    assert images(checking, core_image=SMALL)["infravalidator"] == IMAGE
