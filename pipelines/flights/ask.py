"""Ask the served model about one real flight, over HTTP, as a caller would.

    python -m penstock.pipelines.flights.ask [DIRECTORY]

serves the newest version in the folder that a Pusher pushes to (`serving/flights`), sends it
`flight.json`, and says how to ask about the next one.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLIGHT = Path(__file__).with_name("flight.json")
# It arrived so many minutes after its time.
MINUTES_LATE = 23


@contextmanager
def served(directory: str, seconds: float = 120) -> Iterator[str]:
    """Serve a folder of versions for a while; gives the address for predictions.

    Raises:
      RuntimeError: the server ends, or is not ready in time; with what it said.
    """
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log"), "w+") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "penstock", "serve", f"flights={directory}"),
                *("--port", "0", "--state", folder),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"{_address(server, Path(folder, 'server.json'), seconds)}/predict/flights"
        except TimeoutError:
            log.seek(0)
            raise RuntimeError(f"the server is not ready; it says:\n{log.read()}") from None
        finally:
            server.terminate()
            server.wait()


def _address(server: subprocess.Popen[bytes], known: Path, seconds: float) -> str:
    """Return where a server is reached, once it answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            url = json.loads(known.read_text())["url"]
            with urllib.request.urlopen(f"{url}/readyz"):
                return url
        except (OSError, ValueError):  # it is not there yet, or not ready
            time.sleep(0.1)
    raise TimeoutError


def ask(url: str, flight: dict[str, Any]) -> float:
    """Return the probability that a flight arrives late, as a server says."""
    request = urllib.request.Request(url, json.dumps(flight).encode())
    with urllib.request.urlopen(request) as response:
        return json.load(response)["outputs"]


def main(directory: str = "serving/flights") -> None:
    """Serve the folder, ask about the flight, and say so."""
    flight = json.loads(FLIGHT.read_text())
    with served(directory) as url:
        late = ask(url, flight)
    lines = [
        f"  asked      {flight['carrier']} {flight['flight']} from {flight['origin']} to "
        f"{flight['dest']}, which left its gate {flight['dep_delay']} minutes late: POST {url}",
        f"  answered   it arrives 15 or more minutes late with a probability of {late:.2f}; "
        f"it was {MINUTES_LATE} minutes late",
        f"  the next   penstock serve {shlex.quote(directory)}",
        f"             curl localhost:8501/predict/flights -d @{_shown(FLIGHT)}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _shown(path: Path) -> str:
    """Return a path as it is typed from here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


if __name__ == "__main__":
    main(*sys.argv[1:])
