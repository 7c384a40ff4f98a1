"""Which cluster a node's work goes to, of those that pipeline, profile and node name."""

from __future__ import annotations

import pytest

from penstock import BeamOptions, RayOptions, SparkOptions, compile_pipeline, pipeline, with_options
from penstock.errors import ParameterError
from penstock.ir import view
from penstock_support import example_components as examples

SPARK = SparkOptions("spark://host:7077")
RAY = RayOptions("ray://host:10001")


def cluster(defined, **more):
    [node] = view(compile_pipeline(defined, pipeline_root="root", **more))
    args = [arg.value.string_value for arg in node.executor.beam_pipeline_args_placeholders]
    return BeamOptions(tuple(args)).cluster, args


@pipeline(cluster=SPARK)
def on_spark():
    return examples.UsesBeam()


@pipeline(cluster=SPARK)
def with_its_own():
    return with_options(examples.UsesBeam(), cluster=RAY)


def test_a_pipeline_names_the_cluster_of_its_nodes():
    assert cluster(on_spark)[0] == SPARK


def test_who_runs_a_pipeline_names_another():
    assert cluster(on_spark, beam_args=RAY.args) == (RAY, list(RAY.args))


def test_a_node_names_another():
    profile = ("--runner=FlinkRunner", "--job_endpoint=old:8099")
    assert cluster(with_its_own, beam_args=profile) == (RAY, list(RAY.args))


def test_a_node_whose_work_has_no_parts_takes_no_cluster():
    with pytest.raises(ParameterError, match="its work has no parts that Spark at spark://host"):
        with_options(examples.Doubling(base=1), cluster=SPARK)


@pytest.mark.parametrize("args", [(), ("--runner=FlinkRunner",)])
def test_a_component_without_a_beam_pipeline_says_that_a_runner_has_no_part(args, capsys):
    assert BeamOptions(args).only_cluster() is None
    assert ("no pipeline for FlinkRunner" in capsys.readouterr().out) == bool(args)
