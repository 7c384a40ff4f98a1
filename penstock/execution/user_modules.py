"""How a module of the user's reaches the processes of Beam's workers, for executors of TFX's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.authoring.beam import BeamOptions


def reach_workers(
    parameters: Mapping[str, Any], beam_args: Sequence[str], node_id: str, folder: str
) -> dict[str, Any]:
    """Return the parameters of an executor of TFX's whose module its workers can import.

    Where Beam works in this process, that is the module file as it is. Other processes of this
    machine get its folder in their path, and import it by its name. Beam's other runners take it to
    theirs in a wheel, which TFX makes of the folder, here below `folder`, and installs with pip.
    """
    module_file = parameters.get("module_file")
    options = BeamOptions(tuple(beam_args))
    if not module_file or options.is_in_this_process:
        return dict(parameters)
    if options.is_local:
        module_path = _in_the_path(Path(module_file).resolve())
    else:
        from tfx.components.util import udf_utils

        _, module_path = udf_utils.package_user_module_file(node_id, module_file, folder)
    return {**parameters, "module_file": None, "module_path": module_path}


def _in_the_path(file: Path) -> str:
    """Let this process and those that it starts find a module; return its name."""
    place = str(file.parent)
    sys.path.insert(0, place)
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([place, *([others] if others else [])])
    return file.stem
