"""Pushing a model: the blessings, then the copies, then what is recorded of them."""

from __future__ import annotations

import os
from typing import Any

from penstock.artifacts import InfraBlessing, Model, ModelBlessing, PushedModel
from penstock.components.pusher import local_versions, remote_versions
from penstock.data.files import remote
from penstock.errors import DataError, ParameterError
from penstock.models import layout
from penstock.models.warmup import is_warm_copy
from penstock.safety.presence import is_file


def push_if_blessed(
    *,
    pushed_model: PushedModel,
    model: Model | None,
    model_blessing: ModelBlessing | None,
    infra_blessing: InfraBlessing | None,
    base_directory: str,
    version_names: str,
    version: str | None,
    keep_last: int | None,
    push_name: str = "",
) -> None:
    """Push the model unless a blessing that is given says no; record what became of it.

    `pushed_model` gets the custom properties that TFX gives it: `pushed`, `pushed_destination`
    and `pushed_version`. What a push with a `push_name` has pushed already is not pushed again.
    """
    _check_parameters(base_directory, version, keep_last)
    for blessing in (model_blessing, infra_blessing):
        if blessing is not None and not is_blessed(blessing):
            print(f"Not pushed: {blessing.type_name} {blessing.uri} says no.")
            pushed_model.set_int_custom_property("pushed", 0)
            return
    source = model_to_push(model, infra_blessing)
    # The artifact first: if there is no room for it, nothing is to be served either.
    local_versions.copy_directory(source, pushed_model.uri)
    versions: Any = remote_versions if remote.is_remote(base_directory) else local_versions
    destination = versions.push(
        source,
        base_directory,
        version_names=version_names,
        version=version,
        keep_last=keep_last,
        push_name=push_name,
    )
    pushed_model.set_int_custom_property("pushed", 1)
    pushed_model.set_string_custom_property("pushed_destination", destination)
    pushed_model.set_string_custom_property("pushed_version", os.path.basename(destination))
    print(f"Pushed {source} to {destination}.")


def _check_parameters(base_directory: str, version: str | None, keep_last: int | None) -> None:
    if not base_directory:
        raise ParameterError(
            "Pusher should be given a push_destination",
            hint="For example PushDestination(Filesystem(base_directory='serving_model/taxi')).",
        )
    if keep_last is not None and keep_last < 1:
        raise ParameterError(
            f"keep_last should be 1 or more, and is {keep_last}",
            hint="The version just pushed always stays.",
        )
    if version is not None and (not version or version.startswith(".") or "/" in version):
        raise ParameterError(
            f"version should be the name of a directory that is not hidden, and is {version!r}"
        )


def is_blessed(blessing: ModelBlessing | InfraBlessing) -> bool:
    """Return whether a blessing says yes: its custom property `blessed`, or else its file."""
    if blessing.has_custom_property("blessed"):
        return bool(blessing.get_int_custom_property("blessed") == 1)
    infra = blessing.type_name == "InfraBlessing"
    return is_file(os.path.join(blessing.uri, "INFRA_BLESSED" if infra else "BLESSED"))


def model_to_push(model: Model | None, infra_blessing: InfraBlessing | None) -> str:
    """Return the directory of the model to push.

    It is that of `model`, or the copy of it with warm-up requests in `infra_blessing`.
    """
    stamped = None
    if infra_blessing is not None and infra_blessing.get_int_custom_property("has_model"):
        stamped = os.path.join(infra_blessing.uri, layout.STAMPED_MODEL)
    if model is not None:
        source = layout.serving_model(model.uri)
        return stamped if stamped is not None and is_warm_copy(stamped, source) else source
    if infra_blessing is None:
        raise ParameterError("Pusher should be given a model, or an infra_blessing that has one")
    if stamped is None:
        raise DataError(
            "the infra_blessing has no model to push",
            path=infra_blessing.uri,
            hint="Set request_spec.make_warmup in InfraValidator, or give Pusher the model.",
        )
    return stamped
