"""The folder of penstock.toml on the compiling machine, of which the image has a copy."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock import _tfx, ir
from penstock.errors import PipelineError
from penstock.execution.cache import CODE_PARAMETERS
from penstock.project.user_code import existing_file
from penstock.runners.kubeflow.contract import locations


@dataclass(frozen=True)
class Project:
    """A project's folder, and the folders of the packages that an image has installed."""

    folder: Path
    packages: Mapping[str, str] = field(default_factory=locations.package_folders)

    def relocate(self, text: str) -> str:
        """Return a text in which paths of this machine are places."""
        return locations.relocate(text, self.folder, self.packages)

    def import_paths(self, alone: _tfx.PipelineProto) -> tuple[str, ...]:
        """Return the folders, relative to the project, that a node's code is imported from.

        Raises:
          PipelineError: its code is where an image has none.
        """
        [node] = ir.view(alone)
        paths = {"."}
        for module in _modules(node):
            root = _import_root(module)
            if root is None or _is_installed(module, root):
                continue
            if not root.is_relative_to(self.folder):
                raise PipelineError(
                    f"node {node.id}: its code, {module}, lies in {root}, outside of "
                    f"the project's folder {self.folder}, so an image would not have it",
                    hint="Move it below the folder of penstock.toml, or install it as a package "
                    "here and in the image.",
                )
            paths.add(str(root.relative_to(self.folder)))
        return tuple(sorted(paths))

    def check(self, alone: _tfx.PipelineProto) -> None:
        """Check that the module files of a node will be in the image.

        Raises:
          PipelineError: one is elsewhere.
          UserCodeError: one is not there.
        """
        [node] = ir.view(alone)
        for name in CODE_PARAMETERS:
            path = node.written(name)
            if path.startswith(locations.PROJECT):
                existing_file(locations.localize(path, str(self.folder)))
            if os.path.isabs(path):
                raise PipelineError(
                    f"node {node.id}: its {name}, {path}, lies outside of the project's "
                    f"folder {self.folder}, so an image would not have it",
                    hint="Move it below the folder of penstock.toml.",
                )


def _modules(node: ir.Node) -> Iterator[str]:
    """Yield the modules that a node's classes and functions come from."""
    for path in (node.executor_path, node.driver_path):
        if path:
            yield path.rpartition(".")[0]
    for step in node.proto.inputs.resolver_config.resolver_steps:
        yield step.class_path.rpartition(".")[0]
    for name in CODE_PARAMETERS:
        dotted = node.written(name)
        if dotted and "/" not in dotted and not dotted.endswith(".py"):
            yield dotted if name == "module_path" else dotted.rpartition(".")[0]


def _import_root(module: str) -> Path | None:
    """Return the folder from which a module is imported, None if it has no file."""
    top = module.partition(".")[0]
    if top == "__main__":
        raise PipelineError(
            "the pipeline's components are defined in a script that is run, which a pod cannot "
            "import",
            hint="Name the pipeline in penstock.toml as file.py:function, and run: penstock "
            "compile.",
        )
    loaded = sys.modules.get(top)
    origin = getattr(loaded, "__file__", None)
    if loaded is None:
        spec = importlib.util.find_spec(top) if top else None
        origin = spec.origin if spec else None
    if not origin:
        return None
    path = Path(os.path.realpath(origin))
    return path.parent.parent if path.name == "__init__.py" else path.parent


def _is_installed(module: str, root: Path) -> bool:
    stdlib = module.partition(".")[0] in sys.stdlib_module_names
    return stdlib or module.startswith("penstock.") or locations.is_installed(root)
