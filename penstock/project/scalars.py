"""Values that people write as text: on the command line, in a form."""

from __future__ import annotations

_TRUTHS = {"true": True, "false": False, "1": True, "0": False}


def scalar_of(text: str, kind: type) -> bool | int | float | str:
    """Return the value of a type (bool, int, float or str) that a text stands for.

    Raises:
      ValueError: it stands for none; the message says what was expected.
    """
    try:
        if kind is bool:
            return _TRUTHS[text.lower()]
        value: int | float | str = kind(text)
        return value
    except (ValueError, KeyError):
        expected = "true or false" if kind is bool else kind.__name__
        raise ValueError(f"expected {expected}, got {text!r}") from None
