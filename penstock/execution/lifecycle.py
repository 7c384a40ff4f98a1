"""A node's life, in the one order that there is, whoever runs the pipeline.

    prepare -> [driver] -> look up -> [executor] -> publish

A runner begins a `Life`, has the work done that it asks for, wherever its work is done, and says
what came of it, until the life has an outcome. What happens on the way is told to an observer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Protocol

from penstock import _tfx, ir
from penstock.errors import PenstockError, RunError, StoreError
from penstock.execution import publication
from penstock.execution.publication import look_up, publish
from penstock.execution.registration import apply_driver, prepare
from penstock.execution.schedule import State
from penstock.execution.stages import (
    Broken,
    Finished,
    Outcome,
    Placement,
    Prepared,
    Skipped,
    Work,
)
from penstock.execution.steps import OnStep, Step, ignore
from penstock.execution.workers import failures
from penstock.metadata.databases.client import RefusedError
from penstock.metadata.protocol import Metadata
from penstock.project.retrying import ERROR
from penstock.safety.secrets import Redaction, redaction_for

# The store works, and does not take what it was given.
_REFUSED = (
    RefusedError,
    _tfx.ml_metadata.errors.InvalidArgumentError,
    _tfx.ml_metadata.errors.AlreadyExistsError,
    _tfx.ml_metadata.errors.UnimplementedError,
)


class Observer(Protocol):
    """Whoever wants to know how far a node is."""

    def registered(self, node: ir.Node, stage: Prepared | Finished) -> None:
        """The node stands in the store as running; an importer or a resolver, with its outputs."""

    def resolved(self, node: ir.Node, parameters: Mapping[str, Any]) -> None:
        """The node's driver has said what its parameters are."""


class Unobserved:
    """Nobody wants to know."""

    def registered(self, node: ir.Node, stage: Prepared | Finished) -> None:
        """Do nothing."""

    def resolved(self, node: ir.Node, parameters: Mapping[str, Any]) -> None:
        """Do nothing."""


class Life:
    """One try at a node; `node` is one of bound IR.

    `begin`, and then `succeeded` or `failed` for each `Work` that was asked for, return the next
    work or the outcome. `canceled` ends the life while work is being done. `placement` is for nodes
    that do not find their artifacts where they are recorded to be. `redaction` takes secrets out of
    what is said of the node, by default those that it refers to itself.
    """

    def __init__(
        self,
        metadata: Metadata,
        node: ir.Node,
        *,
        observer: Observer | None = None,
        on_step: OnStep = ignore,
        placement: Placement | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        self.node = node
        self._metadata = metadata
        self._observer = observer or Unobserved()
        self._on_step = on_step
        self._placement = placement
        self._redaction = redaction
        self._work: Work | None = None
        self._prepared: Prepared | None = None
        self._changes: list[str] = []

    def begin(self) -> Work | Outcome:
        """Register the node and ask the cache; an importer or a resolver does its work at once."""
        return self._guarded(self._begin)

    def succeeded(self, result: bytes, measured: Mapping[str, float]) -> Work | Outcome:
        """Take over what a worker has made; `measured` are the resources that it took.

        Raises:
          StoreError: the outputs are there and could not be recorded.
        """
        work = self._requested_work()
        if work.kind == "driver":
            return self._guarded(lambda: self._after_driver(work.prepared, result))
        self._on_step(Step.REPORTED, self.node.id)
        return self._publish(work.prepared, result, measured)

    def failed(self, reason: str, failure: str = ERROR) -> Broken:
        """Give the node up, because its work failed, and of what."""
        return self._give_up(State.FAILED, reason, failure)

    def canceled(self, reason: str) -> Broken:
        """Give the node up, because its work was stopped."""
        return self._give_up(State.CANCELED, reason)

    def broken(self, reason: str) -> Broken:
        """Give the node up for what is not its work's fault."""
        return self._give_up(State.FAILED, reason)

    def _begin(self) -> Work | Outcome:
        stage = prepare(self._metadata, self.node, self._on_step, self._placement)
        if isinstance(stage, Skipped):
            return stage
        if isinstance(stage, Prepared):
            self._prepared = stage
        self._observer.registered(self.node, stage)
        if isinstance(stage, Finished):
            return stage
        return self._ask("driver", stage) if self.node.driver is not None else self._look_up(stage)

    def _after_driver(self, prepared: Prepared, result: bytes) -> Work | Outcome:
        self._prepared = prepared = apply_driver(prepared, result)
        self._observer.resolved(self.node, prepared.info.exec_properties)
        return self._look_up(prepared)

    def _look_up(self, prepared: Prepared) -> Work | Finished:
        stage = look_up(self._metadata, prepared)
        if isinstance(stage, Finished):
            return stage
        self._prepared = stage
        return self._ask("executor", stage)

    def _publish(self, prepared: Prepared, result: bytes, measured: Mapping[str, float]) -> Outcome:
        try:
            with self._fitting():
                finished = publish(self._metadata, prepared, result, measured)
            return self._with_changes(finished)
        except _REFUSED as error:
            return self.broken(self._refused(error))
        except StoreError:
            raise
        except RunError as error:
            return self.failed(str(error))
        except (PenstockError, OSError) as error:
            return self._broken_by(error)

    def _ask(self, kind: Literal["driver", "executor"], prepared: Prepared) -> Work:
        self._work = Work(kind, prepared)
        return self._work

    def _requested_work(self) -> Work:
        assert self._work is not None, "work was reported that had not been asked for"
        return self._work

    def _guarded(self, stage: Callable[[], Work | Outcome]) -> Work | Outcome:
        """Take a step; an error in this process ends the node's life, as far as it has begun."""
        try:
            with self._fitting():
                following = stage()
            return self._with_changes(following) if isinstance(following, Finished) else following
        except _REFUSED as error:
            return self.broken(self._refused(error))
        except (PenstockError, OSError) as error:
            return self._broken_by(error)

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Have what the store refuses be made to fit; what that changed is this node's, however
        its step ends.
        """
        store = self._metadata.store
        try:
            with store.fitting():
                yield
        finally:
            self._changes += store.take_changed()

    def _with_changes(self, finished: Finished) -> Finished:
        """Return it with what the store has of the node otherwise than it was."""
        return replace(finished, note="; ".join(filter(None, [finished.note, *self._changes])))

    def _refused(self, error: Exception) -> str:
        said = str(error) if isinstance(error, PenstockError) else str(error).partition("\n")[0]
        return f"node {self.node.id}: the store refuses what it has made: {said}"

    def _broken_by(self, error: Exception) -> Broken:
        return self.broken(failures.describe(error, self.node.root))

    def _give_up(self, state: State, reason: str, failure: str = "") -> Broken:
        reason = (self._redaction or _redaction_of(self.node)).text(reason)
        if self._prepared is None:
            return Broken(state, reason)
        recorded = publication.CANCELED if state is State.CANCELED else publication.FAILED
        with self._fitting():
            publication.give_up(self._metadata, self._prepared, recorded, reason)
        return Broken(state, reason, self._prepared.execution_id, failure)


def _redaction_of(node: ir.Node) -> Redaction:
    specs = [spec for spec in (node.executor, node.driver) if spec is not None]
    return redaction_for(*(message.SerializeToString() for message in (node.proto, *specs)))
