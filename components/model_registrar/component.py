"""ModelRegistrar: make a model that passed its checks a version of a registered model."""

from __future__ import annotations

from penstock import Input, NodeContext, Output, component
from penstock.artifacts import (
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    ModelRegistration,
)
from penstock.authoring.component import NodeOutline


def _preload(node: NodeOutline) -> tuple[str, ...]:
    """Return what the model is made with: only its framework reads the signature of some models."""
    return node.modules.get("model", ())


@component(preload=_preload, system_type="deploy", uses_store=True)
def ModelRegistrar(
    model: Input[Model],
    registration: Output[ModelRegistration],
    name: str,
    model_blessing: Input[ModelBlessing] | None = None,
    infra_blessing: Input[InfraBlessing] | None = None,
    evaluation: Input[ModelEvaluation] | None = None,
    alias: str | None = None,
    description: str | None = None,
    context: NodeContext = NodeContext(),
) -> None:
    """Register a model as the next version of `name`, if the blessings that are given say yes.

    What is recorded with it is in docs/registry.md. A model that is registered already is the
    version that it is. `alias` is moved to the version, such as `challenger`; a `champion` is
    better moved by `penstock model promote`, `penstock ci deploy` or a release, which ask for more.

    The file `registration.json` of the output has `model`, `version` and `registered`, which are
    its custom properties too.

    Raises:
      RegistryError: the name or alias cannot be used, or the model's files are not as they were.
    """
    from penstock.components.model_registrar import executor

    executor.register_if_blessed(
        registration=registration,
        model=model,
        blessings=[b for b in (model_blessing, infra_blessing) if b is not None],
        evaluation=evaluation,
        name=name,
        alias=alias,
        description=description or "",
        context=context,
    )
