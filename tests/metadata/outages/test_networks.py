"""A database whose network drops all that is sent: limits of time apply, and so does Ctrl-C."""

from __future__ import annotations

import signal
import time

from penstock.execution.steps import Step
from penstock_support import outages
from penstock_support.outages import AwayAt
from penstock_support.resuming_components import OnlyHere, runner_in, three


def test_a_run_is_ended_by_ctrl_c_while_its_database_does_not_answer(tmp_path, proxy, cut_address):
    running = outages.project_in(tmp_path, cut_address)
    with running.run() as process:
        running.wait_for("Second")
        proxy.cut()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert time.monotonic() - began < 25
    assert "the run was asked to end while its metadata store did not answer" in said


def test_a_node_has_its_timeout_also_while_the_database_does_not_answer(
    tmp_path, proxy, cut_address
):
    away = AwayAt(Step.STAGED, "SaysWhenItIsStopped", proxy.cut, proxy.mend, 14)
    runner = runner_in(tmp_path, metadata=cut_address, on_step=OnlyHere(away))
    result = runner.run(
        outages.too_long, parameters={"folder": str(tmp_path)}, raise_on_failure=False
    )
    [node] = result.nodes.values()
    assert node.error == "it took longer than its timeout of 4 s"
    assert float((tmp_path / "stopped").read_text()) < away.returned - 5


def test_a_run_outlives_a_network_that_drops_all_for_a_while(tmp_path, proxy, cut_address):
    away = AwayAt(Step.REPORTED, "Second", proxy.cut, proxy.mend, 8)
    runner = runner_in(tmp_path, metadata=cut_address, on_step=OnlyHere(away))
    result = runner.run(three, parameters={"folder": str(tmp_path)})
    assert result.succeeded
    assert outages.stored(cut_address) == outages.COMPLETE
