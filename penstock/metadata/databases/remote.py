"""Stores behind a server of ML Metadata's own service API, by gRPC."""

from __future__ import annotations

import random
import re
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.databases.database import Kept
from penstock.metadata.databases.limits import POSTGRESQL
from penstock.metadata.databases.locking import WAIT_SECONDS
from penstock.metadata.databases.patience import RESUME, USUAL, Patience, StoreAway

_errors = _tfx.ml_metadata.errors
_service = _tfx.metadata_store_service_pb2
SERVICE = _service.DESCRIPTOR.services_by_name["MetadataStoreService"].full_name

# A server that is being restarted is waited for so long when a store is opened.
_CONNECT_SECONDS = 10.0
# What gRPC says, what that means, and what to do.
_REASONS = (
    (
        ("certificate has expired",),
        "its certificate has expired",
        "Give the server one that is valid.",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "its certificate is signed by nobody who is trusted here, or is not valid",
        "Name the certificate of who signed it in the address: ...?ca=FILE.",
    ),
    (
        ("Hostname Verification", "peer certificate"),
        "its certificate is not one of {}",
        "Write the host as the certificate has it.",
    ),
    (
        ("handshaker",),
        "the certificates or the key that its address names are none",
        "See that the files hold certificates and a key in PEM, and that they belong together.",
    ),
    (("WRONG_VERSION_NUMBER",), "it does not speak TLS", "Write grpc:// in place of grpcs://."),
    (
        ("resolving", "DNS resolution"),
        "its host {} is not known",
        "See that the address in the profile is right.",
    ),
    (
        ("parsing HTTP/2", "http1"),
        "what answers there does not speak gRPC",
        "See that the host and the port in the profile are right.",
    ),
)


@dataclass(frozen=True)
class Access:
    """How a server is reached.

    `roots` are the certificates that it may be signed by, where the system's are not meant;
    `certificate` and `key` are the client's own. All are PEM.
    """

    host: str
    port: int
    tls: bool = False
    token: str = field(default="", repr=False)
    roots: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)

    @property
    def target(self) -> str:
        """The host and the port, as gRPC wants them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def access_of(settings: Any) -> Access:
    """Return how a server is reached that ML Metadata's own settings name."""
    own = settings.ssl_config
    return Access(
        settings.host.strip("[]"),
        settings.port,
        tls=settings.HasField("ssl_config"),
        roots=own.custom_ca.encode(),
        certificate=own.server_cert.encode(),
        key=own.client_key.encode(),
    )


@dataclass(frozen=True)
class Remote(Kept):
    """A store behind a server, which keeps its many clients from disturbing each other."""

    access: Access
    wait_seconds: float = WAIT_SECONDS
    patience: Patience = USUAL
    locks_each_call = False
    limits = POSTGRESQL  # whatever is behind it, that holds no less

    @property
    def where(self) -> str:
        """The store's address, as it may be shown."""
        return f"{'grpcs' if self.access.tls else 'grpc'}://{self.access.target}"

    def settings(self) -> Any:
        """Return what ML Metadata's client is made with; it connects through `channel`."""
        return _tfx.metadata_store_pb2.MetadataStoreClientConfig(
            host=self.access.host,
            port=self.access.port,
            client_timeout_sec=self.patience.call_seconds,
        )

    def channel(self) -> Any:
        """Return a channel whose calls bring the token, and wait for a server that is away."""
        from penstock.metadata.databases import channels

        access = self.access
        return channels.channel(
            access.target,
            access.token,
            (access.roots, access.key, access.certificate) if access.tls else None,
        )

    def prepare(self, *, create: bool) -> None:
        """See that there is a server of ML Metadata's and that it answers us.

        Raises:
          StoreError: there is none, or it refuses.
        """
        import grpc

        deadline = time.monotonic() + min(self.wait_seconds, _CONNECT_SECONDS)
        with closing(self.channel()) as channel:
            ask = channel.unary_unary(
                f"/{SERVICE}/GetContextType",
                _service.GetContextTypeRequest.SerializeToString,
                _service.GetContextTypeResponse.FromString,
            )
            while True:
                try:
                    ask(
                        _service.GetContextTypeRequest(type_name="any"),
                        timeout=_CONNECT_SECONDS,
                        wait_for_ready=False,
                    )
                    return
                except grpc.RpcError as error:
                    if error.code() is grpc.StatusCode.NOT_FOUND:
                        return
                    if not _could_come(error) or time.monotonic() > deadline:
                        raise self._unreachable(error) from error
                self.patience.meanwhile("")
                time.sleep(random.uniform(0.1, 0.3))

    def failure(self, error: Any, method_name: str, text: str) -> StoreError | None:
        """Return our error for one of ML Metadata's where the store is at fault, else None."""
        if isinstance(error, _errors.InternalError):
            return StoreError(f"the metadata store {self.where} failed: {text}")
        if isinstance(error, _errors.UnavailableError | _errors.CancelledError):
            return StoreError(
                f"the metadata store {self.where} was cut off in {method_name}: {text}",
                hint=RESUME,
            )
        if isinstance(error, _errors.DeadlineExceededError):
            return StoreError(
                f"the metadata store {self.where} has not answered {method_name} within "
                f"{self.patience.call_seconds:g} seconds",
                hint=f"See that its server runs. {RESUME}",
            )
        if isinstance(error, _errors.UnauthenticatedError | _errors.PermissionDeniedError):
            return self._refused(text)
        if isinstance(error, _errors.ResourceExhaustedError):
            return StoreError(
                f"the metadata store {self.where} refuses {method_name}: {text}",
                hint="Keep long texts in artifacts' files, not in their properties.",
            )
        if isinstance(error, _errors.UnimplementedError):
            return StoreError(
                f"the server at {self.where} cannot {method_name}: {text}",
                hint="Is it an ML Metadata server as new as the installed ml-metadata?",
            )
        return None

    def _refused(self, text: str) -> StoreError:
        hint = "Write a token's reference into the address: grpcs://:${env:NAME}@host:port."
        if self.access.token:
            hint = "See that the variable in its address holds the token that the server was given."
        return StoreError(f"the metadata store {self.where} refuses us: {text}", hint=hint)

    def _unreachable(self, error: Any) -> StoreError:
        import grpc

        text, code = str(error.details()), error.code()
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return self._refused(text)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return StoreError(
                f"what answers at {self.where} is no ML Metadata server",
                hint="See that the host and the port in the profile are right.",
            )
        reason, hint = _reason(text, self.access)
        kind = StoreAway if _could_come(error) else StoreError
        return kind(f"the metadata store {self.where} cannot be reached: {reason}", hint=hint)


def _could_come(error: Any) -> bool:
    """Return whether a server that is not there yet may be what is wrong."""
    import grpc

    text = str(error.details())
    return error.code() is grpc.StatusCode.UNAVAILABLE and not any(
        sign in text for sign in ("SSL", "Verification", "handshaker", "resolving", "parsing")
    )


def _reason(text: str, access: Access) -> tuple[str, str]:
    """Return what is wrong and what to do, of what gRPC says about a connection."""
    for signs, reason, hint in _REASONS:
        if any(sign in text for sign in signs):
            return reason.format(access.host), hint
    last = re.sub(r".*last error: [A-Z]+: (ipv[46]:\S+: )?", "", text, flags=re.DOTALL)
    if "Socket closed" not in last:
        return last, "See that penstock metadata serve runs there, and that the address is right."
    if access.tls:
        return (
            "it closes the connection; it may ask for a certificate of the client's",
            "Name yours in the address: ...?certificate=FILE&key=FILE.",
        )
    return "it closes the connection; it may speak TLS", "Write grpcs:// in place of grpc://."
