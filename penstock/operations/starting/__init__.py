"""Starting a run of a pipeline once, however often it is asked for, here or on Kubeflow Pipelines.

    starter = starter_of(config)
    started = starter.start(Request("flights", "production", {"span": 7}), token)
    starter.read(started.request, token).state

The token is the run's: asked for again under the same one, the run that is there is the answer, and
one whose process has died is gone on with. `penstock.testing.FakeStarter` is a double for tests.
"""

from penstock.operations.starting.project import starter_of
from penstock.operations.starting.protocol import Request, RunState, Started, Starter

__all__ = ["Request", "RunState", "Started", "Starter", "starter_of"]
