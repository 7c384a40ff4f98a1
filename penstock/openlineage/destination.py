"""Where events go: an address as a profile has it, and what writes to it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from penstock.errors import ConfigError
from penstock.project import extras
from penstock.safety.locks import lock

DEFAULT_NAMESPACE = "penstock"
DEFAULT_PATH = "/api/v1/lineage"
_FORMS = "file:events.jsonl, file:///var/log/events.jsonl or https://host/api/v1/lineage"

# For one attempt: to connect, and then for each wait for the receiver's answer.
TIMEOUT_SECONDS = 2.0


class Undelivered(Exception):
    """An attempt to deliver an event failed; `again` if another one may succeed."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


@dataclass(frozen=True)
class Destination:
    """Where events go, and the namespace of the jobs that they tell of.

    `path` is a file of JSON lines, or else `url` an endpoint with an optional bearer `token`.
    """

    path: str = ""
    url: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    namespace: str = DEFAULT_NAMESPACE

    @property
    def public_address(self) -> str:
        """The destination without anything that could be secret."""
        if self.path:
            return self.path
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def parse_destination(
    address: str, *, token: str = "", namespace: str = DEFAULT_NAMESPACE
) -> Destination:
    """Return the destination that an address names: file:PATH, or an http(s) URL.

    A URL without a path is that of a server with the usual one, /api/v1/lineage.

    Raises:
      ConfigError: it is neither, or a token is given for a file or cannot be sent.
    """
    if not (token.isascii() and token.isprintable()):
        raise ConfigError("openlineage_token has characters that cannot be sent in a header")
    scheme, _, rest = address.partition(":")
    if scheme == "file":
        path = unquote(urlsplit(address).path) if rest.startswith("//") else rest
        if path and not path.endswith("/"):
            if token:
                raise ConfigError("a token is for an HTTP endpoint, and openlineage names a file")
            return Destination(path=os.path.abspath(os.path.expanduser(path)), namespace=namespace)
    elif scheme in ("http", "https"):
        parts = urlsplit(address)
        if parts.hostname:
            url = parts if parts.path.strip("/") else parts._replace(path=DEFAULT_PATH)
            return Destination(url=url.geturl(), token=token, namespace=namespace)
    # An address with a host may hold a secret, so only its beginning is shown.
    safe_address = f"{scheme}:..." if "//" in rest else address
    raise ConfigError(
        f"openlineage: expected file:PATH or an http(s) URL, got {safe_address!r}",
        hint=f"Write it as one of: {_FORMS}.",
    )


def require_library() -> None:
    """Raise ConfigError, naming the extra to install, if openlineage-python is missing."""
    if importlib.util.find_spec("openlineage") is None:
        raise ConfigError(
            "openlineage names a destination for events, but openlineage-python is not installed",
            hint=extras.install_hint("openlineage"),
        )


def open_sink(destination: Destination) -> Callable[[Any], None]:
    """Return what delivers one event, or raises Undelivered."""
    return _file_sink(destination.path) if destination.path else _http_sink(destination)


def _file_sink(path: str) -> Callable[[Any], None]:
    from openlineage.client.serde import Serde

    def write(event: Any) -> None:
        try:
            os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
            append_line(path, Serde.to_json(event).encode())
        except OSError as error:
            reason = f"{path}: {error.strerror or error}"
            raise Undelivered(reason, again=False) from error

    return write


def append_line(path: str, line: bytes) -> None:
    """Append a line to a file that other processes append to at the same time.

    What the disk has no room for is taken back: half a line would spoil the next one too, which
    the library's own file transport lets happen.
    """
    content = line + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):  # a file system without locks still appends one write as a whole
            lock(descriptor)
        before = os.fstat(descriptor).st_size
        written = os.write(descriptor, content)
        if written < len(content):
            os.ftruncate(descriptor, before)
            raise OSError(f"only {written} of {len(content)} bytes could be written")
    finally:
        os.close(descriptor)


def _http_sink(destination: Destination) -> Callable[[Any], None]:
    import requests
    from openlineage.client.transport.http import (
        ApiKeyTokenProvider,
        HttpConfig,
        HttpTransport,
        TokenProvider,
    )

    parts = urlsplit(destination.url)
    token = destination.token
    transport = HttpTransport(
        HttpConfig(
            url=f"{parts.scheme}://{parts.netloc}",
            endpoint=parts._replace(scheme="", netloc="").geturl(),
            timeout=TIMEOUT_SECONDS,
            auth=ApiKeyTokenProvider({"api_key": token}) if token else TokenProvider({}),
            # Retries are ours: those of urllib3 cannot be stopped, and log each one.
            retry={"total": 0},
        )
    )

    def send(event: Any) -> None:
        try:
            transport.emit(event)
        except requests.HTTPError as error:
            status = getattr(error.response, "status_code", 0)
            phrase = getattr(error.response, "reason", "")
            reason = f"{destination.public_address} answered {status} {phrase}".rstrip()
            raise Undelivered(reason, again=status >= 500 or status in (408, 429)) from error
        except requests.Timeout as error:
            reason = f"{destination.public_address} did not answer within {TIMEOUT_SECONDS:g} s"
            raise Undelivered(reason, again=True) from error
        except requests.RequestException as error:
            broken = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
            reason = f"{destination.public_address}: {_root_cause(error)}"
            raise Undelivered(reason, again=isinstance(error, broken)) from error

    return send


def _root_cause(error: BaseException) -> str:
    """Say what an exception comes from, without the URL and headers that those above it repeat."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
