"""Private database servers: on a free port, in a temporary folder, run by an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from urllib.parse import quote

import pytest

REQUIRED = "PENSTOCK_REQUIRE_SERVICES"
USER = "penstock"
# With all that has a meaning in addresses, SQL or the settings of libpq.
PASSWORD = "p@ss:w/o%r d'\\\"?#ü"


@dataclass(frozen=True)
class Server:
    """A running server; its user may create databases."""

    scheme: str
    port: int

    def address(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        """Return the address of one of its databases."""
        secret = quote(password, safe="")
        return f"{self.scheme}://{user}:{secret}@127.0.0.1:{self.port}/{database}"


def program(name: str, *folders: str) -> str:
    """Return the path of a server's program; skip the test, or fail it, where there is none."""
    places = [place for folder in folders for place in sorted(glob(folder), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *places]))
    if found is None:
        reason = f"{name} is not installed: run `make services`"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason} ({REQUIRED} is set)")
        pytest.skip(reason)
    return found


class Instance:
    """A server that may be stopped, killed, halted, and started again on its data.

    `ready` is what its log says when it is, `end` the signal that stops it.
    """

    def __init__(self, server: Server, command: Sequence[str], ready: str, end: signal.Signals):
        self.server = server
        self._command = command
        self._ready = ready
        self._end = end
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        while not self._starts():
            pass  # processes of one that was killed were still there

    def stop(self) -> None:
        """Stop it as its administrators do."""
        self._send(self._end)

    def kill(self) -> None:
        """Kill it with all its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=60)

    def halt(self) -> None:
        """Let none of its processes go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let them go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop it if it runs."""
        if self.runs:
            self.go_on()
            self.stop()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=60)

    def _starts(self) -> bool:
        process = self._process = subprocess.Popen(
            [*_as_unprivileged(), *self._command],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
        log: list[str] = []
        is_ready, ended = threading.Event(), threading.Event()

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                log.append(line)
                if self._ready in line:
                    is_ready.set()
            ended.set()
            is_ready.set()

        threading.Thread(target=read, daemon=True).start()
        assert is_ready.wait(timeout=120), "".join(log)
        if ended.is_set():
            assert "shared memory" in "".join(log) or "lock" in "".join(log), "".join(log)
            process.wait(timeout=60)
            return False
        return True


@contextmanager
def mariadb() -> Iterator[Server]:
    """Start a MariaDB server whose user may create databases."""
    with mariadb_instance() as instance:
        yield instance.server


@contextmanager
def postgresql() -> Iterator[Server]:
    """Start a PostgreSQL server whose user may create databases."""
    with postgresql_instance() as instance:
        yield instance.server


@contextmanager
def mariadb_instance(*options: str) -> Iterator[Instance]:
    """Start a MariaDB server that the test may stop, with further options."""
    server = program("mariadbd", "/usr/sbin")
    install = program("mariadb-install-db", "/usr/bin")
    with _folder() as folder:
        data, port = folder / "data", _free_port()
        _call(
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )
        first = folder / "first.sql"
        secret = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        first.write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{secret}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n",
            encoding="utf-8",
        )
        first.chmod(0o644)
        command = [server, "--no-defaults", f"--datadir={data}", f"--init-file={first}"]
        command += [f"--socket={folder}/socket", f"--port={port}", "--bind-address=127.0.0.1"]
        command += [f"--pid-file={folder}/pid", "--skip-log-bin", "--innodb-buffer-pool-size=32M"]
        command += [
            "--innodb-flush-log-at-trx-commit=2",
            "--character-set-server=utf8mb4",
            *options,
        ]
        yield from _running(
            Instance(Server("mysql", port), command, "ready for connections", signal.SIGTERM)
        )


@contextmanager
def postgresql_instance(*options: str) -> Iterator[Instance]:
    """Start a PostgreSQL server that the test may stop, with further options."""
    initdb = program("initdb", "/usr/lib/postgresql/*/bin")
    server = program("postgres", "/usr/lib/postgresql/*/bin")
    with _folder() as folder:
        data, port = folder / "data", _free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        _call(
            initdb,
            f"--pgdata={data}",
            f"--username={USER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        command = [server, "-D", str(data), "-p", str(port), "-k", str(folder)]
        command += ["-h", "127.0.0.1", "-F", "-c", "max_connections=50", *options]
        ready = "database system is ready to accept connections"
        yield from _running(Instance(Server("postgresql", port), command, ready, signal.SIGINT))


def _running(instance: Instance) -> Iterator[Instance]:
    instance.start()
    try:
        yield instance
    finally:
        instance.close()


def unprivileged() -> str | None:
    """Return the user to start programs as: root's place is taken by nobody."""
    return pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None


def _as_unprivileged() -> list[str]:
    """Return what starts a program as the unprivileged user.

    Popen's own `user` forks, which a process that uses gRPC does not always outlive.
    """
    user = unprivileged()
    if user is None:
        return []
    entry = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that the unprivileged user owns; paths to sockets in it must stay short."""
    folder = tempfile.mkdtemp(prefix="penstock-server-")
    try:
        if (user := unprivileged()) is not None:
            shutil.chown(folder, user)
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _call(*command: str) -> None:
    done = subprocess.run(
        command, user=unprivileged(), cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
