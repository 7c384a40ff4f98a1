"""What registered models and their aliases may be named."""

from __future__ import annotations

import re

from penstock.errors import RegistryError

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ALIAS_NAME = re.compile(r"(?![0-9]+$)[a-z0-9][a-z0-9._-]{0,62}")


def check_model_name(model: str) -> str:
    """Return the name of a registered model.

    Raises:
      RegistryError: a model cannot have this name.
    """
    if not _MODEL_NAME.fullmatch(model):
        raise RegistryError(
            f"a model cannot be named {model!r}",
            hint="Use up to 100 letters, digits, dots, dashes and underscores.",
        )
    return model


def check_alias(alias: str) -> str:
    """Return the name of an alias.

    Raises:
      RegistryError: an alias cannot have this name.
    """
    if not _ALIAS_NAME.fullmatch(alias):
        raise RegistryError(
            f"an alias cannot be named {alias!r}",
            hint="Use up to 63 small letters, digits, dots, dashes and underscores, and not "
            "digits alone, which name versions.",
        )
    return alias
