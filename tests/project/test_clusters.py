"""Clusters as they are named, and which of several names counts."""

from __future__ import annotations

import pytest

from penstock import BeamOptions, RayOptions, SparkOptions
from penstock.errors import ConfigError, ParameterError
from penstock.project.clusters import for_beam, joined
from penstock.project.config import read_config

pytestmark = pytest.mark.core

SPARK = SparkOptions("spark://host:7077", {"spark.executor.memory": "2g"})
RAY = RayOptions("ray://host:10001")


@pytest.mark.parametrize("cluster", [SPARK, RAY])
def test_a_cluster_comes_back_from_the_arguments_that_name_it(cluster):
    assert BeamOptions(("--direct_num_workers=2", *cluster.args)).cluster == cluster


def test_a_value_may_stand_in_an_argument_of_its_own():
    assert BeamOptions(("--ray_address", "ray://host:10001")).cluster == RAY


def test_the_last_place_that_is_named_counts():
    assert BeamOptions((*SPARK.args, *RAY.args)).cluster == RAY
    assert BeamOptions((*RAY.args, "--runner=FlinkRunner")).cluster is None


def test_what_names_a_cluster_names_no_runner_of_beam():
    options = BeamOptions(("--runner=FlinkRunner", *SPARK.args))
    assert options.runner is None
    assert options.in_process


def test_properties_belong_to_the_spark_before_them():
    options = BeamOptions((*SPARK.args, *SparkOptions("yarn").args))
    assert options.cluster == SparkOptions("yarn")


def test_a_property_without_a_spark_is_refused():
    with pytest.raises(ParameterError, match="--spark_conf should be KEY=VALUE and stand after"):
        _ = BeamOptions(("--spark_conf=spark.cores.max=2",)).cluster


def test_arguments_that_name_a_place_replace_those_of_farther_away():
    profile = ("--runner=FlinkRunner", "--job_endpoint=old:8099")
    assert joined(profile, ("--runner=DirectRunner",)) == ("--runner=DirectRunner",)
    assert joined(profile, SPARK.args) == SPARK.args


def test_arguments_that_name_no_place_add_to_those_of_farther_away():
    assert joined(SPARK.args, ("--spark_conf=spark.cores.max=2",)) == (
        *SPARK.args,
        "--spark_conf=spark.cores.max=2",
    )


def test_beam_is_not_given_what_it_does_not_know():
    assert for_beam(["--a=1", *SPARK.args, *RAY.args]) == ["--a=1"]


@pytest.mark.parametrize("master", ["host:7077", "http://host", "", "local[x]"])
def test_what_is_no_spark_is_refused_with_examples(master):
    with pytest.raises(ParameterError, match=r"expected the address of a Spark, got .*spark://"):
        SparkOptions(master)


@pytest.mark.parametrize("master", ["local", "local[2]", "local[*]", "yarn", "sc://host:15002"])
def test_spark_s_own_names_of_masters_are_taken(master):
    assert SparkOptions(master).master == master


def test_a_property_that_is_none_of_spark_s_is_refused():
    with pytest.raises(ParameterError, match="expected a property of Spark's"):
        SparkOptions("yarn", {"executor memory": "2g"})


@pytest.mark.parametrize("address", ["host", "http://host:1", ""])
def test_what_is_no_ray_is_refused_with_examples(address):
    with pytest.raises(ParameterError, match=r"expected the address of a Ray cluster.*ray://"):
        RayOptions(address)


def profile(folder, text):
    (folder / "penstock.toml").write_text(text)
    return read_config(folder / "penstock.toml").profile("large")


def test_a_profile_names_a_spark(tmp_path):
    read = profile(
        tmp_path,
        """
        [profiles.large.spark]
        master = "spark://host:7077"
        conf = { "spark.executor.memory" = "2g" }
        """,
    )
    assert BeamOptions(read.beam_args).cluster == SPARK


def test_a_profile_names_a_ray(tmp_path):
    read = profile(tmp_path, '[profiles.large.ray]\naddress = "ray://host:10001"\n')
    assert BeamOptions(read.beam_args).cluster == RAY


def test_a_profile_names_one_place(tmp_path):
    text = """
        [profiles.large]
        beam_args = ["--runner=FlinkRunner"]
        [profiles.large.ray]
        address = "ray://host:10001"
        """
    with pytest.raises(ConfigError, match="beam_args and ray name different places"):
        profile(tmp_path, text)


def test_a_wrong_address_is_told_with_its_place_in_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"penstock.toml, profiles.large.spark"):
        profile(tmp_path, '[profiles.large.spark]\nmaster = "host"\n')
