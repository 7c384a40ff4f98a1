"""Which share of each split's rows the statistics look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from penstock.errors import ParameterError, suggestion


def sample_rates(
    splits: Sequence[str],
    stats_options_json: str | None = None,
    sample_rate: float | None = None,
    sample_rate_by_split: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Return the rate of every split: its own, else `sample_rate`, else the options', else 1.

    Raises:
      ParameterError: a rate is outside (0, 1], or a split does not exist.
    """
    rate = sample_rate
    if rate is None:
        rate = _rate_of_options(stats_options_json)
    rates = dict.fromkeys(splits, 1.0 if rate is None else rate)
    for split, own_rate in (sample_rate_by_split or {}).items():
        if split not in rates:
            raise ParameterError(
                f"sample_rate_by_split names the split {split!r}, which the statistics leave out",
                hint=suggestion(split, splits, noun="split"),
            )
        rates[split] = own_rate
    for split, own_rate in rates.items():
        if not 0.0 < own_rate <= 1.0:
            raise ParameterError(
                f"expected a sample rate above 0 and at most 1 for split {split!r}, "
                f"but it is {own_rate}",
                hint="A rate of 0.1 looks at about a tenth of the rows.",
            )
    return rates


def _rate_of_options(stats_options_json: str | None) -> float | None:
    try:
        options = json.loads(stats_options_json or "{}")
    except json.JSONDecodeError:
        # The engine, which reads all options, says what is wrong with them.
        return None
    if not isinstance(options, dict):
        return None
    return options.get("_sample_rate", options.get("sample_rate"))
