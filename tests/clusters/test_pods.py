"""A pod of Kubeflow's whose parts are done by a real Spark and a real Ray."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from penstock import pipeline
from penstock.components import CsvExampleGen, StatisticsGen
from penstock.metadata.store import connect, connection_config
from penstock_support.asked_on_clusters import Parted
from penstock_support.kubeflow_backend import compile_with_store, playing
from penstock_support.store_shapes import shape_of_run

pytestmark = pytest.mark.timeout(600)


def test_data_is_read_and_looked_at_by_the_cluster_of_a_pod(cluster, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    csv.write_csv(pa.table({"number": np.arange(1000)}), data / "data.csv")
    store = tmp_path / "metadata.sqlite"

    @pipeline(cluster=cluster.options)
    def in_pods(input_base: str = str(data)):
        examples = CsvExampleGen(input_base=input_base)
        return StatisticsGen(examples=examples.outputs["examples"])

    with playing(tmp_path / "pods") as backend:
        ended = backend.run(compile_with_store(in_pods, store), "run")
    assert ended["statisticsgen"].outputs["statistics"]
    with connect(connection_config(str(store))) as metadata:
        assert shape_of_run(metadata.store, "run")


def test_what_does_parts_is_not_the_pod(cluster, tmp_path):
    @pipeline(cluster=cluster.options)
    def in_pods():
        return Parted()

    with playing(tmp_path / "pods") as backend:
        compiled = compile_with_store(in_pods, tmp_path / "metadata.sqlite")
        [ended] = backend.run(compiled, "run").values()
    assert "4 parts were done elsewhere." in ended.printed
