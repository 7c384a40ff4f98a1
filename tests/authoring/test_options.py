"""What a node's options become in the IR."""

from __future__ import annotations

import pytest
from tfx.proto.orchestration import platform_config_pb2

from penstock import PodOptions, Retries, compile_pipeline, ir, pipeline, with_options
from penstock.errors import ParameterError, PipelineError
from penstock.pods import Gpu, Secret
from penstock_support import example_components as examples

pytestmark = pytest.mark.core


def options_of(make_node):
    @pipeline
    def single():
        return make_node()

    [node] = ir.view(compile_pipeline(single, pipeline_root="/root"))
    return node.proto.execution_options


def test_retries_and_timeout_stand_in_the_ir():
    options = options_of(lambda: examples.Fails().with_options(retries=2, timeout_seconds=60))
    assert (options.max_execution_retries, options.execution_timeout_sec) == (2, 60)


def test_when_a_node_is_tried_again_stands_in_the_ir():
    retries = Retries(2, after=("error",), pause_seconds=1.5)

    @pipeline
    def single():
        return examples.Fails().with_options(retries=retries)

    [node] = ir.view(compile_pipeline(single, pipeline_root="/root"))
    assert node.retries == retries


def test_a_node_can_be_optional_and_start_after_failures():
    options = options_of(lambda: examples.Fails().with_options(optional=True, start="completed"))
    assert options.node_success_optional
    assert options.strategy == options.ALL_UPSTREAM_NODES_COMPLETED


def test_a_node_can_be_without_cache():
    assert options_of(examples.Fails).caching_options.enable_cache
    uncached = options_of(lambda: examples.Fails().with_options(cache=False))
    assert not uncached.caching_options.enable_cache


def test_any_node_of_tfx_takes_options_too():
    from penstock._tfx import Importer
    from penstock.artifacts import Model

    def importing():
        node = Importer(source_uri="/model", artifact_type=Model).with_id("model")
        return with_options(node, retries=1)

    assert options_of(importing).max_execution_retries == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"start": "complete"}, "start 'complete' is not known. Did you mean 'completed'?"),
        ({"retries": -1}, "retries should be a whole number from 0, got -1"),
        ({"timeout_seconds": 1.5}, "timeout_seconds should be a whole number from 0, got 1.5"),
    ],
)
def test_an_impossible_option_is_refused_where_it_is_written(given, text):
    with pytest.raises(ParameterError, match=text):
        examples.Fails().with_options(**given)


def test_what_a_node_asks_of_kubernetes_stands_in_the_ir():
    pod = PodOptions(memory="4Gi", gpu=Gpu(count=2), secrets=(Secret("a", path="/a"),))

    @pipeline
    def single():
        return examples.Fails().with_options(pod=pod)

    compiled = compile_pipeline(single, pipeline_root="/root")
    assert ir.view(compiled).nodes["Fails"].pod_options == pod


def test_a_node_that_asks_nothing_of_kubernetes_has_no_platform_config():
    @pipeline
    def single():
        return examples.Fails()

    compiled = compile_pipeline(single, pipeline_root="/root")
    assert ir.view(compiled).nodes["Fails"].platform is None
    assert ir.view(compiled).nodes["Fails"].pod_options == PodOptions()


def test_options_for_a_pod_beside_a_platform_config_are_refused():
    @pipeline
    def single():
        config = platform_config_pb2.DockerPlatformConfig()
        return examples.Fails().with_platform_config(config).with_options(pod=PodOptions(cpu="1"))

    with pytest.raises(PipelineError, match="Fails has the options pod of .* platform config"):
        compile_pipeline(single, pipeline_root="/root")


@pytest.mark.parametrize("accelerate", [True, False])
def test_a_node_says_in_its_ir_whether_it_may_be_accelerated(accelerate):
    @pipeline
    def one():
        """A node."""
        return examples.Fails().with_options(accelerate=accelerate)

    [node] = ir.view(compile_pipeline(one))
    assert node.accelerate is accelerate
    assert node.pod_options == PodOptions()
