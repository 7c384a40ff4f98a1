"""What Kubernetes takes as names, labels and amounts; what it refuses is told where it is written.

The rules are those of Kubernetes' own validation, which would otherwise speak of a pod that never
starts: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and /labels/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from penstock.errors import ParameterError

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?)([eE][+-]?[0-9]+|m|k|[KMGTPE]i|[MGTPE])?")
_UNITS = {
    "": 1.0,
    "m": 1e-3,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)},
}
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VARIABLE = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")
_LONGEST_LABEL, _LONGEST_NAME = 63, 253


def amount(quantity: str) -> float | None:
    """Return the number that a quantity is, as 0.5 for "500m"; None for one that is none."""
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        return None
    digits, unit = match[1], match[2] or ""
    if unit[:1] in ("e", "E") and len(unit) > 1 and unit[1] != "i":
        return float(digits + unit)
    return float(digits) * _UNITS[unit]


def check_key(key: str, what: str) -> None:
    """Check the key of a label, an annotation or a selector, as `example.com/pool`.

    Raises:
      ParameterError: Kubernetes would refuse it.
    """
    prefix, slash, name = key.rpartition("/")
    is_prefix = not slash or (len(prefix) <= _LONGEST_NAME and _DNS_NAME.fullmatch(prefix))
    if not (is_prefix and len(name) <= _LONGEST_LABEL and _LABEL.fullmatch(name)):
        raise ParameterError(
            f"{what}: Kubernetes takes no key {key!r}",
            hint="It has up to 63 letters, digits, '-', '_' and '.', and begins and ends with a "
            "letter or digit; a domain and a slash may stand before it.",
        )


def check_label(value: str, what: str) -> None:
    """Check the value of a label or a selector.

    Raises:
      ParameterError: Kubernetes would refuse it.
    """
    if value and not (len(value) <= _LONGEST_LABEL and _LABEL.fullmatch(value)):
        raise ParameterError(
            f"{what}: Kubernetes takes no value {value!r}",
            hint="It has up to 63 letters, digits, '-', '_' and '.', and begins and ends with a "
            "letter or digit.",
        )


def check_variable(name: str) -> None:
    """Check the name of an environment variable.

    Raises:
      ParameterError: Kubernetes would refuse it.
    """
    if not _VARIABLE.fullmatch(name):
        raise ParameterError(
            f"Kubernetes takes no environment variable {name!r}",
            hint="It has letters, digits, '_', '-' and '.', and does not begin with a digit.",
        )


def check_no_braces(value: Any, what: str) -> None:
    """Check that no text in a value would be taken by Argo for a placeholder of its own.

    Argo puts values in the place of what stands in two braces, wherever it stands in a workflow,
    and refuses a workflow in which it knows none.

    Raises:
      ParameterError: a text has two opening braces.
    """
    for text in _texts(value):
        if "{{" in text:
            raise ParameterError(
                f"{what}: Argo takes what follows {{{{ for a placeholder of its own, got "
                f"{text[:100]!r}",
                hint="Write it another way (in JSON a space may stand between two braces), or keep "
                "it in a file of the project, or as a constant in the pipeline.",
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in value:
            yield from _texts(key)
            yield from _texts(value[key])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def check_volume_name(name: str, what: str) -> None:
    """Check the name of what is mounted: Kubeflow gives its volume the same one.

    Raises:
      ParameterError: Kubernetes would refuse the volume.
    """
    if not (len(name) <= _LONGEST_LABEL and _DNS_LABEL.fullmatch(name)):
        raise ParameterError(
            f"the {what} {name!r} cannot be mounted: Kubeflow calls the volume as it, and a "
            "volume's name has up to 63 lower case letters, digits and '-'",
            hint=f"Give the {what} another name.",
        )
