"""Pusher: hand a model that passed its checks to what serves it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from penstock import Input, NodeContext, Output, component
from penstock.artifacts import InfraBlessing, Model, ModelBlessing, PushedModel


class Versioning(Enum):
    """TFX's ways to name a version; both are the Unix time."""

    AUTO = "AUTO"
    UNIX_TIMESTAMP = "UNIX_TIMESTAMP"


@dataclass(frozen=True)
class Filesystem:
    """A directory that a model server watches; each version is a directory below it."""

    base_directory: str
    versioning: Versioning = Versioning.AUTO


@dataclass(frozen=True)
class PushDestination:
    """Where models are pushed to."""

    filesystem: Filesystem


class VersionNames(Enum):
    """How a version gets its name; all are numbers that grow, as model servers ask for.

    UNIX_TIME is seconds since 1970, UTC_TIME the date and time as YYYYMMDDhhmmss, and SEQUENTIAL
    one more than the greatest version that is there.
    """

    UNIX_TIME = "unix_time"
    UTC_TIME = "utc_time"
    SEQUENTIAL = "sequential"


@component(system_type="deploy")
def Pusher(
    pushed_model: Output[PushedModel],
    model: Input[Model] | None = None,
    model_blessing: Input[ModelBlessing] | None = None,
    infra_blessing: Input[InfraBlessing] | None = None,
    push_destination: PushDestination | None = None,
    version_names: VersionNames = VersionNames.UNIX_TIME,
    version: str | None = None,
    keep_last: int | None = None,
    context: NodeContext = NodeContext(),
) -> None:
    """Copy a model to its destination, if the blessings that are given say that it is good.

    A version appears at once and complete, or not at all: the copy is made in a hidden directory
    beside it, synced to the disk and renamed. Pushes to one destination wait for each other.
    `version` names the version itself (a span, a release); it must be new. A number that is taken
    becomes the next free one. After a push `keep_last` leaves that many numbered versions, the
    greatest, and the one just pushed. A run that is resumed pushes nothing a second time.
    Where `infra_blessing` has the model with warm-up requests, these are pushed with it; without
    `model`, too.

    Raises:
      ParameterError: the destination or version cannot be used.
      StorageError: the destination cannot be written to or has no locks.
      DataError: there is no model to push.
    """
    from penstock.components.pusher import executor

    executor.push_if_blessed(
        pushed_model=pushed_model,
        model=model,
        model_blessing=model_blessing,
        infra_blessing=infra_blessing,
        base_directory=push_destination.filesystem.base_directory if push_destination else "",
        version_names=version_names.value,
        version=version,
        keep_last=keep_last,
        push_name=f"{context.run_id}.{context.node_id}" if context.run_id else "",
    )
