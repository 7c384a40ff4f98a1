"""InfraValidator: see that a model loads and answers before it is pushed."""

from __future__ import annotations

from penstock import Input, Output, component
from penstock.artifacts import Examples, InfraBlessing, Model
from penstock.authoring.component import NodeOutline
from penstock.components.infra_validator.limits import RequestSpec, ValidationSpec


def _preload(node: NodeOutline) -> tuple[str, ...]:
    """Return what the model is made with: it is loaded in a process of its own."""
    return node.modules.get("model", ())


@component(preload=_preload)
def InfraValidator(
    model: Input[Model],
    blessing: Output[InfraBlessing],
    examples: Input[list[Examples]] | None = None,
    validation_spec: ValidationSpec = ValidationSpec(),
    request_spec: RequestSpec = RequestSpec(),
) -> None:
    """Load a model of any flavor in a fresh process and ask it, within limits.

    It is asked about rows of `examples`, or without them about the example that was saved with it.
    A try that fails is repeated, as the machine may be busy.

    Raises:
      DataError: there is no model, or the split is missing.
    """
    from penstock.components.infra_validator import executor

    executor.validate(
        model=model,
        blessing=blessing,
        examples=examples,
        spec=validation_spec,
        request=request_spec,
    )
