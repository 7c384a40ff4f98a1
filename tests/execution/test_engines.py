"""What nodes are asked with is looked at where a run is planned."""

from __future__ import annotations

import pytest

from penstock import LocalRunner, pipeline
from penstock.authoring.beam import BeamOptions
from penstock.components import CsvExampleGen
from penstock.errors import PenstockError, PipelineError
from penstock.execution import engines
from penstock_support.clusters import free_port


@pipeline
def of_csv(input_base: str):
    return CsvExampleGen(input_base=input_base)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--runner=FlinkRuner",), "no Beam runner 'FlinkRuner'"),
        (("--no_such_flag=1",), "knows --no_such_flag"),
        (("--runner=PortableRunner", "--job_endpoint=127.0.0.1:{port}"), "nobody answers for Beam"),
    ],
)
def test_a_plan_says_which_node_has_no_engine(tmp_path, args, said):
    port = free_port()
    runner = LocalRunner(
        pipeline_root=str(tmp_path), beam_args=[arg.format(port=port) for arg in args]
    )
    with pytest.raises(PipelineError, match=f"node CsvExampleGen: .*{said}"):
        runner.plan(of_csv, parameters={"input_base": str(tmp_path)})


def test_what_a_variable_holds_is_asked_and_not_told(monkeypatch):
    options = BeamOptions(("--spark_master=spark://${env:HIDDEN_HOST}:9",))
    engines.check_options(options)
    monkeypatch.setenv("HIDDEN_HOST", "127.0.0.1")
    with pytest.raises(PenstockError, match=r"nobody answers for Spark") as raised:
        engines.check_options(options)
    assert "127.0.0.1" not in str(raised.value)
