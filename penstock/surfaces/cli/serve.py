"""The prediction server."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.errors import ConfigError, ParameterError
from penstock.project import extras
from penstock.safety.containment import is_name
from penstock.surfaces.cli.log_options import GivenLog, log_of_served, log_options
from penstock.surfaces.cli.options import profile_option, project_config
from penstock.surfaces.cli.printing import echo

if TYPE_CHECKING:
    from penstock.project.config import Config
    from penstock.serving.server.running import Address
    from penstock.serving.sources import Source

_FILE = click.Path(dir_okay=False)


@click.command()
@click.argument("models", metavar="[NAME=]MODEL...", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="The port; 0 is any that is free.",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    help="The port for the Open Inference Protocol over gRPC; 0 is any that is free. Without it "
    "gRPC is not served.",
)
@click.option(
    "--token",
    help="Who asks must send it: Authorization: Bearer TOKEN. Better as a reference, "
    "'${env:NAME}'.",
)
@click.option("--tls-certificate", type=_FILE, help="A certificate chain, for HTTPS.")
@click.option("--tls-key", type=_FILE, help="The certificate's key.")
@click.option(
    "--tls-client-ca", type=_FILE, help="Who asks must have a certificate of these authorities."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="The processes of each version.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="How many requests are asked about at once, at the most.",
)
@click.option(
    "--batch-wait",
    type=click.FloatRange(0, 10),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="For how long a request waits for others to be asked about with it.",
)
@click.option(
    "--max-body",
    type=click.FloatRange(0.001),
    default=16.0,
    show_default=True,
    metavar="MB",
    help="The longest body of a request.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="The most rows of a request.",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    help="How many requests for a model may wait; those beyond are refused at once.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.01),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For how long a request may wait for its answer.",
)
@click.option(
    "--load-timeout",
    type=click.FloatRange(1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="For how long a version may load and warm up.",
)
@click.option(
    "--look-every",
    type=click.FloatRange(0.05),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often aliases and folders are looked at for another version.",
)
@click.option(
    "--drain",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="For how long it still answers, and says that it is not ready, once it is told to end.",
)
@log_options
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for what has to outlive the server; by default .penstock/serving of the "
    "project.",
)
@click.option(
    "--otel",
    metavar="URL",
    help="The OpenTelemetry collector that gets traces and metrics, as http://localhost:4318; by "
    "default the one that OTEL_EXPORTER_OTLP_ENDPOINT names, if it is set.",
)
@profile_option
@click.pass_context
def serve(
    context: click.Context,
    models: tuple[str, ...],
    host: str,
    port: int,
    grpc_port: int | None,
    token: str | None,
    tls_certificate: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    workers: int,
    batch: int,
    batch_wait: float,
    max_body: float,
    max_rows: int,
    queue: int,
    timeout: float,
    load_timeout: float,
    look_every: float,
    drain: float,
    state: Path | None,
    otel: str | None,
    profile_name: str | None,
    given_log: GivenLog,
) -> None:
    """Serve models over HTTP: rows by name, TensorFlow Serving's API, Open Inference Protocol.

    MODEL is the folder of a model, a folder of pushed versions, a run, a pipeline, an artifact, or
    NAME@ALIAS of the registry. Of a folder of versions the newest is served, of an alias what it
    stands for; when that changes, the new version is loaded and warmed up before it answers, and no
    request is lost.

    \b
    Examples:
      penstock serve flights@champion
      penstock serve serving/penguins --port 0
      curl localhost:8501/predict/flights -d '{"distance": 1400, "carrier": "UA"}'
    """
    missing = extras.needed_by("penstock serve", (*extras.EXTRAS["ui"], *extras.EXTRAS["serve"]))
    if missing is not None:
        raise missing
    from penstock.opentelemetry import collector_of
    from penstock.opentelemetry.predictions import AnswerTelemetry
    from penstock.safety import secrets
    from penstock.serving.log.policy import LogPolicy
    from penstock.serving.server.limits import Limits
    from penstock.serving.server.running import Address, Server

    address = Address(
        host=host,
        port=port,
        token=secrets.resolve(token) if token else "",
        certificate=tls_certificate,
        key=tls_key,
        client_authorities=tls_client_ca,
        drain_seconds=drain,
        grpc_port=grpc_port,
    )
    _check(address)
    config = project_config(context)
    sources = dict(_source(text, profile_name, config) for text in models)
    if len(sources) < len(models):
        raise ParameterError(
            "two models would have one name", hint="Name them: NAME=MODEL OTHER=MODEL."
        )
    folder = state or Path(config.path.parent if config.path else ".") / ".penstock" / "serving"
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    collector_address = secrets.resolve_address(otel) if otel else ""
    collector = collector_of(collector_address, os.environ)

    logs = {name: log_of_served(given_log, config, name, folder) for name in sources}
    policies = {name: LogPolicy.of(log) for name, log in logs.items() if log is not None}

    for policy in policies.values():
        _check_folder(policy.folder)

    def announce(url: str) -> None:
        for name in sources:
            echo(f"{name}  {url}/predict/{name}")

    limits = Limits(
        workers=workers,
        batch_requests=batch,
        batch_seconds=batch_wait,
        body_bytes=int(max_body * 1e6),
        rows=max_rows,
        request_seconds=timeout,
        queue=queue,
        load_seconds=load_timeout,
    )
    Server(
        sources,
        address,
        limits,
        folder.absolute(),
        logs=policies,
        telemetry=AnswerTelemetry(collector) if collector else None,
        look_seconds=look_every,
        announce=announce,
    ).run()


def _check(address: Address) -> None:
    if (address.certificate is None) != (address.key is None):
        raise ConfigError("TLS needs both, --tls-certificate and --tls-key")
    for file in (address.certificate, address.key, address.client_authorities):
        if file and not os.path.isfile(file):
            raise ConfigError(f"there is no file {file}, which TLS is to have")
    if address.client_authorities and not address.certificate:
        raise ConfigError("--tls-client-ca needs --tls-certificate and --tls-key")
    if not address.is_loopback and not (address.token or address.client_authorities):
        raise ConfigError(
            f"others reach {address.host}, and nothing says who may ask",
            hint="Give a token, --token '${env:NAME}', or --tls-client-ca with TLS; or listen to "
            "this machine alone.",
        )


def _check_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        is_writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "" if is_writable else "its permissions do not allow it"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise ConfigError(
            f"the log {folder} cannot be written: {reason}",
            hint="Give another folder, --log FOLDER, or change the one in penstock.toml.",
        )


def _source(text: str, profile: str | None, config: Config) -> tuple[str, Source]:
    """Return the name and the source of a model that is to be served."""
    from penstock.serving.sources import source_of

    name, equals, place = text.partition("=")
    if not equals or os.path.exists(text):
        name, place = "", text
    source, default = source_of(place, profile=profile, config=config)
    name = name or default
    if not is_name(name):
        raise ParameterError(
            f"a model's name is a part of its address, and {name!r} cannot be one",
            hint="Give it another: NAME=MODEL, of letters, digits, '-', '_' and '.'.",
        )
    return name, source
