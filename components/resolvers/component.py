"""Nodes that look up what earlier runs of the pipeline have made."""

from __future__ import annotations

from typing import Any

from penstock import _tfx
from penstock.artifacts import Examples, Model, ModelBlessing, Schema
from penstock.components.resolvers.served import PreviousWindowStrategy, ServedModelStrategy
from penstock.errors import WiringError
from penstock.metadata.registered import CHAMPION
from penstock.metadata.store import artifacts_by_id


class LatestOrNothing(_tfx.LatestArtifactStrategy):
    """TFX's latest-artifact strategy, which resolves to nothing where TFX's would fail."""

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Keep the newest artifact of each key."""
        return {
            key: sorted(artifacts, key=lambda artifact: artifact.id)[-1:]
            for key, artifacts in input_dict.items()
        }


def LatestArtifact(artifact: Any, *, key: str | None = None) -> Any:
    """Make a node that resolves to the newest artifact of a type or of an output.

    `artifact` is an artifact type, or the output of a node of this pipeline: then only what that
    node made in earlier runs counts, for which that node waits. The single output is called `key`,
    by default as the output, or `examples` for Examples, `model` for Model and so on. With no such
    artifact yet it resolves to nothing, so that optional inputs stay empty.
    """
    producer, output_key = None, None
    artifact_type = artifact
    if isinstance(artifact, _tfx.channel.BaseChannel):
        artifact_type = artifact.type
        producer, output_key = artifact.producer_component_id, artifact.output_key
    elif not (isinstance(artifact, type) and issubclass(artifact, _tfx.artifact.Artifact)):
        raise WiringError(
            f"LatestArtifact: expected an artifact type or a node's output, got {artifact!r}",
            component="LatestArtifact",
            argument="artifact",
            hint="Write LatestArtifact(Model) or LatestArtifact(trainer.outputs['model']).",
        )
    channel = _tfx.types.Channel(
        type=artifact_type, producer_component_id=producer, output_key=output_key
    )
    key = key or output_key or _snake_case(artifact_type.TYPE_NAME)
    resolver = _tfx.Resolver(strategy_class=LatestOrNothing, **{key: channel})
    if producer is not None:
        # Otherwise it would depend on timing whether "latest" means this run's or the last one's.
        artifact.producer_component.add_upstream_node(resolver)
    return resolver


def LatestBlessedModel() -> Any:
    """Make a node that resolves to the newest model that an Evaluator has blessed.

    Its outputs are `model` and `model_blessing`; with no blessed model yet both are empty.
    """
    return _tfx.Resolver(
        strategy_class=_tfx.LatestBlessedModelStrategy,
        model=_tfx.types.Channel(type=Model),
        model_blessing=_tfx.types.Channel(type=ModelBlessing),
    )


class RegisteredModelStrategy(_tfx.ResolverStrategy):
    """A strategy that resolves to the version of a registered model that an alias stands for."""

    def __init__(self, name: str, alias: str) -> None:
        self._name = name
        self._alias = alias

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Keep the model of the version, of all models that the store has.

        Raises:
          RegistryError: the version is archived, or its files are gone or altered.
        """
        from penstock import registry

        model = registry.find_model(store, self._name)
        is_number = self._alias.isascii() and self._alias.isdigit()
        if model is None or (not is_number and self._alias not in model.aliases):
            return {key: [] for key in input_dict}
        version = registry.check(store, model.version(self._alias))
        # Another pipeline may have made it, and channels see only this one.
        return {key: artifacts_by_id(store, [version.artifact_id]) for key in input_dict}


def RegisteredModel(name: str, alias: str = CHAMPION) -> Any:
    """Make a node that resolves to a version of a registered model, by an alias or its number.

    Its output is `model`: the champion, for example, as the baseline of an Evaluator. With no such
    model or alias yet it is empty, as at the first run; a version whose files are gone or altered
    is an error.
    """
    return _tfx.Resolver(
        strategy_class=RegisteredModelStrategy,
        config={"name": name, "alias": str(alias)},
        model=_tfx.types.Channel(type=Model),
    )


def ServedModel(name: str, *, served: Any = None, version: str | int | None = None) -> Any:
    """Make a node that resolves to the model that served, and to what it was trained on.

    `name` is a registered model, or the folder that it was pushed to. With `served`, the examples
    of a ServingLogGen, it is the version that answered most of them, else `version`, a number or
    an alias. Its outputs are `model`; `examples`, those that came from outside and that the model
    was made from; and `schema`. What is not in the store is empty.

    Raises:
      WiringError: not one of `served` and `version` is given.
    """
    if (served is None) == (version is None):
        raise WiringError(
            "ServedModel: expected one of served and version",
            component="ServedModel",
            argument="served",
            hint="Write ServedModel(name, served=log.outputs['examples']).",
        )
    inputs = {} if served is None else {"served": served}
    return _tfx.Resolver(
        strategy_class=ServedModelStrategy,
        config={"name": name, "version": "" if version is None else str(version)},
        model=_tfx.types.Channel(type=Model),
        examples=_tfx.types.Channel(type=Examples),
        schema=_tfx.types.Channel(type=Schema),
        **inputs,
    )


def PreviousWindow(served: Any) -> Any:
    """Make a node that resolves to the window of a prediction log before that of `served`.

    `served` are the examples of a ServingLogGen. Its output is `examples`: those that an earlier
    run has made of the log, of the last window as long that ended before this one began; with none
    it is empty.
    """
    return _tfx.Resolver(
        strategy_class=PreviousWindowStrategy,
        examples=_tfx.types.Channel(type=Examples),
        served=served,
    )


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
