"""The component that reads a prediction log."""

from __future__ import annotations

import json
from typing import Any

from penstock import NodeContext, Output, Resolved, component
from penstock.artifacts import Examples
from penstock.data import ingestion
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig, RollingRange
from penstock.data.splits import InputConfig, InputSplit, OutputConfig, SplitBuckets, SplitConfig
from penstock.errors import ParameterError, suggestion
from penstock.monitoring.windows import ANSWERED_BY, LOG, WINDOW, window_of_spans
from penstock.serving.log.policy import GIVEN, SPANS
from penstock.serving.routes import SHADOW

SPLIT = "served"
_SERVED = OutputConfig(SplitConfig((SplitBuckets(SPLIT, 1),)))


def resolve(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return span, version and input_fingerprint of the log, after checking what is asked for."""
    config, chosen = _input_of(
        parameters["log_span"], parameters["windows"], parameters["range_config"]
    )
    _check_roles(parameters["roles"])
    return ingestion.resolve_parameters(
        {
            **parameters,
            "input_config": config,
            "range_config": chosen,
            "output_config": parameters["output_config"] or _SERVED,
        }
    )


@component(resolve=resolve, system_type="process")
def ServingLogGen(
    examples: Output[Examples],
    input_base: str,
    log_span: str = "day",
    windows: int | None = None,
    range_config: RangeConfig | None = None,
    roles: list[str] | None = None,
    versions: list[int] | None = None,
    output_config: OutputConfig | None = None,
    output_data_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE,
    sample_rate: float | None = None,
    span: Resolved[int] = 0,
    version: Resolved[int] | None = None,
    input_fingerprint: Resolved[str] = "",
    context: NodeContext = NodeContext(),
) -> None:
    """Read what a model was asked and answered into examples: features, and columns `log/…`.

    `input_base` is the folder of the model in the log of `penstock serve` or `penstock predict`, or
    its URL; `log_span` is that of the log, `day` or `hour`. The newest span is read, the newest
    `windows` together, or those of `range_config`. Of a request that was sent again, or that is in
    several spans, each row is one example, as it was answered last.

    `roles` are those whose answers count: `production`, `canary`, `batch`, `shadow`, and "" where a
    version was asked for by number. By default they are all but `shadow`, what somebody got, and
    `versions` are all. The examples have one split, `served`, unless `output_config` says
    otherwise; their custom properties say of which `log` and which time they are (`window`), and
    how many rows each version answered (`versions`). `output_data_format` is FORMAT_TF_EXAMPLE or
    FORMAT_PARQUET.

    Raises:
      ParameterError: parameters do not fit each other.
      DataError: there is no such span, no row of such roles and versions, or a damaged file.
    """
    from penstock.components.serving_log_gen import in_process

    config, chosen = _input_of(log_span, windows, range_config)
    to = ingestion.destination(
        examples.uri, config, output_config or _SERVED, output_data_format, sample_rate
    )
    resolved = ingestion.input_of(
        input_base, config, chosen, span, version, context.temporary_directory
    )
    wanted = in_process.Wanted(GIVEN if roles is None else tuple(roles), versions)
    counts = in_process.generate_examples(resolved, to, wanted, context.progress)
    ingestion.describe(examples, to, span, version, input_fingerprint)
    window = window_of_spans(*_bounds(chosen, span), log_span)
    examples.set_string_custom_property(WINDOW, json.dumps(window.to_json()))
    examples.set_string_custom_property(ANSWERED_BY, json.dumps(counts))
    examples.set_string_custom_property(LOG, input_base)


def _input_of(
    log_span: str, windows: int | None, range_config: RangeConfig | None
) -> tuple[InputConfig, RangeConfig | None]:
    if log_span not in SPANS:
        raise ParameterError(
            f"expected a log_span of {' or '.join(SPANS)}, got {log_span!r}",
            hint="It is what the server was told by --log-span.",
        )
    if windows is not None:
        if range_config is not None:
            raise ParameterError("expected one of windows and range_config, got both")
        if windows < 1:
            raise ParameterError(f"expected windows of at least 1, got {windows}")
        range_config = RangeConfig(rolling_range=RollingRange(num_spans=windows))
    pattern = f"{log_span}-{{SPAN}}/part-*.parquet"
    return InputConfig((InputSplit(SPLIT, pattern),)), range_config


def _bounds(chosen: RangeConfig | None, span: int) -> tuple[int, int]:
    """Return the first and the last span that were asked for, whether there are rows or not."""
    if chosen is not None and chosen.static_range is not None:
        return chosen.static_range.start_span_number, chosen.static_range.end_span_number
    rolling = chosen.rolling_range if chosen is not None else None
    return span - (rolling.num_spans if rolling else 1) + 1, span


def _check_roles(roles: list[str] | None) -> None:
    known = (*GIVEN, SHADOW)
    for role in roles if roles is not None else GIVEN:
        if role not in known:
            raise ParameterError(
                f"expected roles of {', '.join(map(repr, known))}, got {role!r}",
                hint=suggestion(role, [name for name in known if name], noun="role"),
            )
    if roles is not None and not roles:
        raise ParameterError("roles is empty", hint="Leave it out for all that callers got.")
