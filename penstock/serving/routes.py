"""Who gets which answer: the versions of a model that serve, and the share of each.

Routes are plain values with a form in JSON, by which a release tells a server, and a server keeps
over its own restart, what it should do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from penstock.errors import DataError

PRODUCTION = "production"
CANARY = "canary"
SHADOW = "shadow"
ROLES = (PRODUCTION, CANARY, SHADOW)


@dataclass(frozen=True)
class Servable:
    """A version of a model: its number, its folder, and the code beyond its framework's own."""

    version: int
    path: str
    trusted: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "trusted": list(self.trusted)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Servable:
        """Return what `to_json` wrote.

        Raises:
          DataError: it is something else.
        """
        known = _fields(entry, version=int, path=str, trusted=list)
        return cls(known["version"], known["path"], tuple(known.get("trusted", ())))


@dataclass(frozen=True)
class Share:
    """A version, and how many percent of the requests it gets: answered, or as copies."""

    version: int
    percent: float

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise DataError(f"a share should be of 0 to 100 percent, and is {self.percent:g}")


@dataclass(frozen=True)
class Routes:
    """What happens to the requests for a model.

    The canary answers its share of them, production the others; the shadow gets copies of what
    production answers. `key` names what makes a caller: `header:NAME`, or `column:NAME` of plain
    rows, so that who has been answered by the canary still is when the share grows; "" is by
    request. `token` names the change that made them: evidence is counted anew for each.
    """

    production: int
    canary: Share | None = None
    shadow: Share | None = None
    key: str = ""
    token: str = ""

    def versions(self) -> tuple[int, ...]:
        """Return the versions that have to be ready."""
        named = [s.version for s in (self.canary, self.shadow) if s is not None]
        return tuple(dict.fromkeys([self.production, *named]))

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Routes:
        """Return what `to_json` wrote.

        Raises:
          DataError: it is something else.
        """
        known = _fields(entry, production=int, canary=dict, shadow=dict, key=str, token=str)
        shares = {
            role: Share(**_fields(known[role], version=int, percent=(int, float)))
            for role in (CANARY, SHADOW)
            if known.get(role) is not None
        }
        return cls(
            known["production"], key=known.get("key", ""), token=known.get("token", ""), **shares
        )


def is_chosen(key: str, percent: float, salt: str) -> bool:
    """Return whether a caller is among the first percent of all callers.

    Who is among the first five percent is among the first ten, too. `salt` makes the order of
    callers another one for each model.
    """
    digest = hashlib.blake2b(f"{salt}/{key}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * 100 < percent


def _fields(entry: Any, **kinds: Any) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise DataError(f"expected an object with {', '.join(kinds)}, got {entry!r:.60}")
    unknown = [name for name in entry if name not in kinds]
    if unknown:
        raise DataError(f"expected {', '.join(kinds)}, got {', '.join(map(repr, unknown))}")
    for name, value in entry.items():
        if value is not None and (not isinstance(value, kinds[name]) or isinstance(value, bool)):
            raise DataError(f"{name} should be of another kind, got {value!r:.60}")
    first = next(iter(kinds))
    if entry.get(first) is None:
        raise DataError(f"expected {first}, got none")
    return dict(entry)
