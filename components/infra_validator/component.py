"""InfraValidator: see that a model loads and answers before it is pushed."""

from __future__ import annotations

from penstock import Input, Output, component
from penstock.artifacts import Examples, InfraBlessing, Model
from penstock.authoring.component import NodeOutline
from penstock.components.infra_validator.limits import RequestSpec, ServingSpec, ValidationSpec


def _preload(node: NodeOutline) -> tuple[str, ...]:
    """Return what the model is made with: it is loaded in a process of its own."""
    return node.modules.get("model", ())


@component(preload=_preload)
def InfraValidator(
    model: Input[Model],
    blessing: Output[InfraBlessing],
    examples: Input[list[Examples]] | None = None,
    serving_spec: ServingSpec | None = None,
    validation_spec: ValidationSpec = ValidationSpec(),
    request_spec: RequestSpec | None = None,
) -> None:
    """Serve a model of any flavor as it will be served, and ask it, within limits.

    Without `serving_spec` it is served as `penstock serve` does, in a process of its own, which
    warms it up. With `examples` and `request_spec` it is then asked about rows, one after the
    other; without, it only has to load. What may be due to a busy machine is tried again.

    Raises:
      DataError: there is no model, or the split is missing.
      ParameterError: a spec asks for what there is not.
    """
    from penstock.components.infra_validator import executor

    executor.validate(
        model=model,
        blessing=blessing,
        examples=examples,
        serving=serving_spec or ServingSpec(),
        spec=validation_spec,
        request=request_spec,
    )
