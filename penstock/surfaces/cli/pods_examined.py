"""What `penstock doctor` says of a profile's pods: what compiling for them would say."""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.project.config import Config
from penstock.project.profiles import Profile
from penstock.surfaces.cli.examination import Finding
from penstock.surfaces.cli.options import load_pipeline


def pods(config: Config, profile: Profile) -> Finding:
    """Whether the project's pipelines compile for a profile's pods, and what these lack."""
    from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow

    if profile.kubeflow is None:
        return Finding("pods", "unused", f"profile {profile.name} has no table kubeflow")
    refused: dict[str, None] = {}
    doubtful: dict[str, None] = {}
    examined: list[str] = []
    for name in config.pipelines:
        try:
            definition = load_pipeline(config, name)
        except PenstockError:
            doubtful[f"{name} does not import, and was not examined"] = None
            continue  # why is told of the extras
        examined.append(name)
        try:
            compiled = compile_for_kubeflow(definition, profile, config.folder)
        except PenstockError as error:
            refused[str(error)] = None
        else:
            doubtful |= {f"{name}: {warning}": None for warning in compiled.warnings}
    if refused or doubtful:
        return Finding("pods", "wrong" if refused else "doubtful", "; ".join([*refused, *doubtful]))
    return Finding("pods", "fine", f"have what is needed by {', '.join(sorted(examined))}")
