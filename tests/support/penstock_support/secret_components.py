"""Components that are given secrets and do what they should not with them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from penstock import BeamOptions, Input, Output, component, pipeline
from penstock.artifacts import Model

# Writes a text in pieces, so that no single write has all of it.
PIECES = "import os, sys\nfor c in sys.stdin.read(): os.write(1, c.encode())"


@dataclass(frozen=True)
class Access:
    user: str = ""
    keys: tuple[str, ...] = ()


def command_lines() -> list[bytes]:
    """Return the command lines of all processes, which everybody on the machine can read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_bytes())
    return found


@component
def Tells(
    model: Output[Model],
    token: str,
    access: Access = Access(),
    expected: str = "",
    beam: BeamOptions = BeamOptions(),
) -> int:
    """Print its secrets, also by a child, and record them; return how long they are."""
    environment = os.environ[expected] if expected else token
    assert token == environment, "the value is not the variable's"
    print("first line")
    print(f"it is {token!r}", flush=True)
    print("on the other stream:", access, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-c", PIECES], input=token, text=True, check=True)
    print("\nBeam has", beam.args, flush=True)
    model.set_string_custom_property("address", f"https://{token}@host")
    assert not [line for line in command_lines() if token.encode() in line]
    assert access.keys in ((), (token, token))
    assert all(token in arg for arg in beam.args if arg.startswith("--password="))
    print("last line, no end", end="")
    return len(token)


@component
def Raises(model: Output[Model], token: str) -> None:
    """Write half of its output and raise with the secret."""
    Path(model.uri, "half").touch()
    raise ValueError(f"the server refuses {token}")


@component
def Returns(token: str) -> str:
    """Return the secret."""
    return token


@component
def DiesTelling(token: str, model: Output[Model]) -> None:
    """Print the secret, and die before any of it is flushed by Python's own end."""
    os.write(1, f"begin {token} ".encode() * 100 + token[:-1].encode())
    os.kill(os.getpid(), signal.SIGKILL)


@component
def LeavesAChild(token: str, model: Output[Model]) -> None:
    """Leave a child behind that holds the log open."""
    print("before", token, flush=True)
    subprocess.Popen(["sleep", "30"], start_new_session=True)


@component
def Echoes(text: str, model: Output[Model]) -> None:
    """Print what comes from another node."""
    Path(model.uri, "text").write_text(text)


@component
def Names() -> str:
    """Return a text that refers to a variable."""
    return "${env:CANARY}"


@component
def After(model: Input[Model]) -> str:
    """Return the property that a node before it has recorded."""
    return str(model.get_string_custom_property("address"))


@pipeline
def telling(token: str = "", user: str = "me"):
    """Give a secret in every way, and fail with it."""
    told = Tells(
        token=token,
        access=Access(user=user, keys=("${env:CANARY}", token)),  # type: ignore[arg-type]
        expected="CANARY",
    )
    return [told, Raises(token="${env:CANARY}")]
