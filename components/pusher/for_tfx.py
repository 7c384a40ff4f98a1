"""The work of TFX's Pusher."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.pusher import local_versions
from penstock.components.pusher.component import PushDestination
from penstock.data.files import remote
from penstock.models import layout


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's Pusher; its own executor does not look at `custom_config`."""

    push_destination: PushDestination
    custom_config: Any = None


def _obstacle(node: TfxNode, parameters: Parameters) -> str:
    if remote.is_remote(parameters.push_destination.filesystem.base_directory):
        return "push_destination is in an object store"
    if node.optional_input("model") is None:
        return "the model comes from the infra_blessing"
    return ""


@stands_in_for("tfx.components.pusher.executor.Executor", obstacle=_obstacle)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Copy the model to its destination, unless a blessing that is given says no.

    A version whose second is taken gets the next free number, where TFX would not copy it.
    """
    pushed = node.output("pushed_model")
    for key in ("model_blessing", "infra_blessing"):
        blessing = node.optional_input(key)
        if blessing is not None and blessing.get_int_custom_property("blessed") != 1:
            print(f"Not pushed: {blessing.type_name} {blessing.uri} says no.")
            pushed.set_int_custom_property("pushed", 0)
            return
    source = layout.serving_model(node.input("model").uri)
    local_versions.copy_directory(source, pushed.uri)
    base = parameters.push_destination.filesystem.base_directory
    destination = local_versions.push(source, base, version_names="unix_time")
    version = os.path.basename(destination)
    pushed.set_int_custom_property("pushed", 1)
    # As it is written, which may be relative.
    pushed.set_string_custom_property("pushed_destination", os.path.join(base, version))
    pushed.set_string_custom_property("pushed_version", version)
