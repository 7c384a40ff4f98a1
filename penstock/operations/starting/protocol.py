"""What is asked of whoever starts runs, and what it says of one."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.errors import ParameterError

# Kubeflow's submissions and the names of local runs both take it. Lower case, since databases
# compare names without regard to it.
_TOKEN = re.compile(r"[a-z0-9][a-z0-9._-]{3,79}")


class RunState(enum.Enum):
    """How a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"
    """Its process is gone; to start it again is to go on with it."""
    UNKNOWN = "unknown"
    """Whoever has it says nothing that we know."""

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED)


@dataclass(frozen=True)
class Request:
    """Which run is to be started: of what, under which profile, with which parameters.

    `pipeline` is a name of penstock.toml or file:function, `profile` the name of a profile, "" for
    the default one. `parameters` come before the profile's; a text stands for the value that a
    parameter of another type has. `image` takes the place of the profile's, and `name` is what the
    run is called, both on Kubeflow alone. `without_deployment` leaves out the nodes that deploy,
    and what comes after them.
    """

    pipeline: str
    profile: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    image: str = ""
    name: str = ""
    without_deployment: bool = False


@dataclass(frozen=True)
class Started:
    """A run that was started, and how it stands.

    `where` is "local" or "kubeflow"; `address` is the run's page, or the folder of its logs.
    `tries` is how many processes have had it in hand. `error` says why it failed, if that is known.
    """

    run_id: str
    where: str
    state: RunState
    address: str = ""
    tries: int = 1
    error: str = ""


class Starter(Protocol):
    """Something that starts runs. A token stands for one run, for ever."""

    def start(self, request: Request, token: str) -> Started:
        """Start the token's run, or find it; go on with it where its process has died.

        It returns when the run is recorded where it runs, and does not wait for its end.

        Raises:
          UnansweredError: nobody can say whether the run was started; ask again.
          ParameterError: the token is none, or its run is one of something else.
          PenstockError: the run could not be started.
        """

    def read(self, request: Request, token: str) -> Started | None:
        """Return how the token's run stands, None if none was started.

        Raises:
          PenstockError: the store or the server that knows it cannot be reached.
        """

    def cancel(self, request: Request, token: str) -> None:
        """Ask that the token's run ends, if it is under way; do not wait until it has.

        Raises:
          PenstockError: it cannot be reached from here.
        """


def check_token(token: str) -> None:
    """Check that a token can name a run wherever runs are.

    Raises:
      ParameterError: it cannot.
    """
    if not _TOKEN.fullmatch(token):
        raise ParameterError(
            "expected a run's token of 4 to 80 small letters, digits, '.', '_' and '-', got "
            f"{token!r}"
        )
