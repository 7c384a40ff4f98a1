"""For tests of pipelines: killing what runs them, and a server of Kubeflow Pipelines to talk to.

    runner = LocalRunner(on_step=KillAt(Step.WORKED, "Trainer"), display=Silent())
    result = runner.run(pipeline, raise_on_failure=False)

kills Trainer's worker when its work is done, as a machine without memory would. To kill the
process that runs the pipeline, run it in a process of its own; `LocalRunner.resume` then goes on
with the run.

`FakeStarter` is a double of what starts runs for triggers and deploys.

`penstock.testing.kubeflow` has the server.
"""

from __future__ import annotations

from penstock.execution.steps import WORKERS_STEPS, Step
from penstock.runners.local.display import Silent
from penstock.testing.killing import KillAt
from penstock.testing.starting import FakeStarter

__all__ = ["WORKERS_STEPS", "FakeStarter", "KillAt", "Silent", "Step"]
