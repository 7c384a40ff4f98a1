"""Metadata servers for tests: in this process, or by the command; and certificates for them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from penstock.metadata.server import serving as server
from penstock.metadata.store import connection_config
from penstock_support.processes import MARK, Family, wait_until

__all__ = ["Command", "Signed", "certificates", "serving", "wait_until", "waits_for"]


@contextmanager
def serving(
    address: str, protection: server.Protection = server.Protection(), **more: float
) -> Iterator[server.Server]:
    """Serve a store from this process."""
    started = server.start(connection_config(address), "localhost", 0, protection, **more)
    try:
        yield started
    finally:
        started.stop(0)


class Command:
    """A process of `penstock metadata serve`; `output` is all that it has written so far."""

    def __init__(self, *arguments: str, env: Mapping[str, str] = {}) -> None:
        mark = secrets.token_hex(8)
        self.family = Family("", mark=mark).alive
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "penstock", "metadata", "serve", *arguments],
            env={**os.environ, **env, MARK: mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._wrote = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        with self._wrote:
            return "".join(self._lines)

    @property
    def port(self) -> int:
        """Wait until it serves, and return its port."""
        self.wait_for("serving ")
        [line] = [line for line in self.output.splitlines() if line.startswith("serving ")]
        return int(line.rpartition(":")[2])

    def wait_for(self, text: str) -> None:
        with self._wrote:
            found = self._wrote.wait_for(
                lambda: text in "".join(self._lines) or not self._reader.is_alive(), timeout=60
            )
        assert found, self.output
        assert text in self.output

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=60)
        self._reader.join()
        return code

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._wrote:
                self._lines.append(line)
                self._wrote.notify_all()
        with self._wrote:
            self._wrote.notify_all()


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, as files in PEM."""

    certificate: Path
    key: Path


def certificates(folder: Path) -> dict[str, Signed]:
    """Make an authority, and certificates that it signed: for localhost, expired, for a client."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    made: dict[str, Signed] = {}
    now = datetime.now(UTC)
    authority, authority_key = None, None
    for name in ("authority", "server", "expired", "client", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        own = authority is None or name == "other"
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if own else authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=-1 if name == "expired" else 1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .add_extension(x509.BasicConstraints(ca=own, path_length=None), True)
            .sign(key if own else authority_key, hashes.SHA256())
        )
        if authority is None:
            authority, authority_key = certificate, key
        made[name] = Signed(folder / f"{name}.pem", folder / f"{name}.key")
        pem = serialization.Encoding.PEM
        made[name].certificate.write_bytes(certificate.public_bytes(pem))
        made[name].key.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    return made


def waits_for(path: str) -> bool:
    """Return whether another process has a file open, as one that waits for its lock."""
    own = os.stat(path).st_ino
    for found in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if int(found.parts[2]) != os.getpid() and found.stat().st_ino == own:
                return True
        except OSError:  # it is closed by now, or not ours to look at
            continue
    return False
