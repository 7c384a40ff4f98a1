"""Arguments of Beam's are looked at before a job is made of them."""

from __future__ import annotations

import pytest

from penstock.authoring.beam import BeamOptions
from penstock.data.beam import arguments
from penstock.errors import ParameterError, PenstockError
from penstock_support.clusters import free_port


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--runner=FlinkRuner",), r"no Beam runner 'FlinkRuner'.*FlinkRunner"),
        (("--runner=no_such_module.Runner",), r"no Beam runner .*No module named"),
        (
            ("--runner=DirectRunner", "--no_such_flag=1"),
            r"neither Beam nor its runner DirectRunner knows --no_such_flag",
        ),
        (("--direct_num_worker=2",), r"Did you mean --direct_num_workers\?"),
        (("--runner=DirectRunner", "--direct_num_workers=two"), r"direct_num_workers.*'two'"),
    ],
)
def test_what_nobody_knows_is_refused(args, said):
    with pytest.raises(ParameterError, match=said):
        arguments.check(args)


def test_what_beam_knows_is_taken():
    arguments.check(("--runner", "DirectRunner", "--direct_num_workers", "2", "--streaming"))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "args",
    [
        ("--runner=PortableRunner", "--job_endpoint=127.0.0.1:{port}"),
        ("--runner=FlinkRunner", "--flink_master=127.0.0.1:{port}"),
        ("--spark_master=spark://127.0.0.1:{port}",),
        ("--ray_address=ray://127.0.0.1:{port}",),
    ],
)
def test_nobody_who_answers_is_told_at_once(args):
    port = free_port()
    options = BeamOptions(tuple(arg.format(port=port) for arg in args))
    with pytest.raises(PenstockError, match=rf"nobody answers for .*127\.0\.0\.1:{port}"):
        options.check()


def test_a_flag_without_a_runner_is_named():
    options = BeamOptions(("--direct_num_workers=2", "--streaming"))
    assert options.without_effect() == ("--direct_num_workers", "--streaming")
    assert BeamOptions(("--runner=DirectRunner", "--streaming")).without_effect() == ()


def test_the_value_of_an_unknown_argument_is_logged_nowhere(caplog):
    with pytest.raises(ParameterError):
        arguments.check(("--runner=DirectRunner", "--password=canary-3e91"))
    assert "canary-3e91" not in caplog.text
