"""How a session of Spark is configured."""

from __future__ import annotations

import ipaddress

from penstock.data.parallel.on_spark import configuration
from penstock.project.clusters import SparkOptions


def test_executors_of_kubernetes_call_the_pod_by_its_address():
    found = configuration(SparkOptions("k8s://https://kubernetes.default.svc"))
    assert ipaddress.ip_address(found["spark.driver.host"])


def test_what_the_user_says_comes_first():
    own = {"spark.driver.host": "driver.example", "spark.locality.wait": "1s"}
    found = configuration(SparkOptions("k8s://https://kubernetes.default.svc", own))
    assert own.items() <= found.items()


def test_other_masters_find_the_driver_as_spark_says():
    assert "spark.driver.host" not in configuration(SparkOptions("spark://spark.example:7077"))


def test_a_server_of_spark_connect_is_told_what_the_user_says_and_nothing_else():
    own = {"spark.sql.session.timeZone": "UTC"}
    assert configuration(SparkOptions("sc://spark.example:15002", own)) == own
