"""Whether Beam and its runner know what they are asked with, and whether anybody answers."""

from __future__ import annotations

import importlib
import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

from penstock.data.parallel.answers import check_place
from penstock.errors import ParameterError, PenstockError, nearest, suggestion

_CONNECT_SECONDS = 10.0
# Of a runner's addresses, those of a host and a port.
_ADDRESSES = ("job_endpoint", "artifact_endpoint", "flink_master", "spark_master_url")


def check(args: Sequence[str]) -> None:
    """Check the arguments for a Beam pipeline before it is made, and ask whom they name.

    Raises:
      ParameterError: there is no such runner, or nobody knows an argument.
      PenstockError: nobody answers at an address.
    """
    known, parser, unknown = _parsed(args)
    _check_runner(known["runner"])
    for name in _ADDRESSES:
        address = str(known.get(name) or "")
        if ":" in address and not address.startswith("["):
            check_place(f"Beam's --{name}", address)
    if not unknown:
        return
    endpoint = known.get("job_endpoint")
    described = _described(endpoint) if endpoint and ":" in endpoint else set()
    for arg in unknown:
        name = arg.partition("=")[0].removeprefix("--")
        if name not in described:
            match = nearest(name, [*_names(parser), *described])
            raise ParameterError(
                f"neither Beam nor its runner {known['runner'] or 'DirectRunner'} knows --{name}",
                hint=f"Did you mean --{match}?" if match else "Leave it out.",
            )


def _check_runner(runner: str | None) -> None:
    from apache_beam.options.pipeline_options import StandardOptions

    known = StandardOptions.KNOWN_RUNNER_NAMES
    if runner is None or runner.lower() in {name.lower() for name in known}:
        return
    module, _, name = runner.rpartition(".")
    if module:
        try:
            if hasattr(importlib.import_module(module), name):
                return
        except ImportError as error:
            raise ParameterError(
                f"there is no Beam runner {runner!r}: {error}",
                hint="Install the package that has it, here and where the nodes run.",
            ) from error
    raise ParameterError(
        f"there is no Beam runner {runner!r}",
        hint=f"{suggestion(runner, known)} Or give the dotted name of a runner's class.",
    )


def _parsed(args: Sequence[str]) -> tuple[dict[str, Any], Any, list[str]]:
    """Return Beam's options, its parser of arguments, and those that it does not know."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[Any] = []
    said = io.StringIO()
    try:
        with redirect_stderr(said), _unlogged():
            known = PipelineOptions(list(args)).get_all_options(add_extra_args_fn=parsers.append)
            _, unknown = parsers[0].parse_known_args(list(args))
    except SystemExit as error:
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise ParameterError(f"Beam cannot take its arguments: {reason}") from error
    return known, parsers[0], [arg for arg in unknown if arg.startswith("--")]


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep Beam from logging arguments that it does not know, with their values."""
    logger = logging.getLogger("apache_beam.options.pipeline_options")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _names(parser: Any) -> list[str]:
    flags = [flag for action in parser._actions for flag in action.option_strings]
    return [flag.removeprefix("--") for flag in flags]


def _described(endpoint: str) -> set[str]:
    """Return the names of the options that a job service says it has."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    try:
        with grpc.insecure_channel(endpoint) as channel:
            stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
            request = beam_job_api_pb2.DescribePipelineOptionsRequest()
            answer = stub.DescribePipelineOptions(request, timeout=_CONNECT_SECONDS)
    except grpc.RpcError as error:
        raise PenstockError(
            f"what answers at {endpoint} is no job service of Beam's ({error.code().name})",
            hint="Is --job_endpoint the port of its job service, and not of another?",
        ) from error
    return {option.name for option in answer.options}
