"""Clusters on which the parts of a node's work are done: those of Apache Spark and of Ray.

As Beam's runner they are named by a node, its pipeline, a profile or the command line, and travel
to the node among Beam's arguments: `--spark_master=…`, `--spark_conf=KEY=VALUE`, `--ray_address=…`.
The last that names where work is done is the one that counts, with what stands after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from penstock.errors import ParameterError

_RUNNER = "--runner"
_MASTER = "--spark_master"
_CONF = "--spark_conf"
_ADDRESS = "--ray_address"

_MASTERS = re.compile(r"local(\[[\d*, ]+\])?|yarn|databricks|(spark|k8s|sc|local-cluster)\S+")
_SCHEMES = ("spark://", "k8s://", "sc://")


@dataclass(frozen=True)
class SparkOptions:
    """An Apache Spark.

    `master` is what Spark takes: `spark://host:7077`, `k8s://https://host:6443`, `yarn`,
    `local[4]`; or `sc://host:15002` for Spark Connect, or `databricks` for the session that there
    is. `conf` are Spark's own properties, as `spark.executor.memory`.
    """

    master: str
    conf: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _MASTERS.fullmatch(self.master):
            raise ParameterError(
                f"expected the address of a Spark, got {self.master!r}",
                hint="It is as spark://host:7077, sc://host:15002, k8s://https://host:6443, yarn "
                "or local[4].",
            )
        for key in self.conf:
            if not re.fullmatch(r"spark\.[\w.-]+", key):
                raise ParameterError(f"expected a property of Spark's, as spark.cores.max: {key!r}")

    @property
    def place(self) -> str | None:
        """The address where somebody should answer; None where only Spark knows who that is."""
        is_address = self.master.startswith(_SCHEMES)
        return self.master.removeprefix("k8s://") if is_address else None

    def __str__(self) -> str:
        return f"Spark at {self.master}" if self.master.startswith(_SCHEMES) else "Spark"

    @property
    def args(self) -> tuple[str, ...]:
        """As they travel among Beam's arguments."""
        properties = (f"{_CONF}={key}={value}" for key, value in self.conf.items())
        return (f"{_MASTER}={self.master}", *properties)


@dataclass(frozen=True)
class RayOptions:
    """A Ray cluster.

    `address` is what Ray takes: `ray://host:10001` from outside, `host:6379` or `auto` on one of
    its machines, or `local` for one on this machine.
    """

    address: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|local|(ray://)?[\w.\-\[\]:]+:\d+", self.address):
            raise ParameterError(
                f"expected the address of a Ray cluster, got {self.address!r}",
                hint="It is as ray://host:10001, or as host:6379 on one of its machines.",
            )

    @property
    def place(self) -> str | None:
        """The address where somebody should answer; None where only Ray knows who that is."""
        return self.address if ":" in self.address else None

    def __str__(self) -> str:
        return f"Ray at {self.address}" if ":" in self.address else "Ray"

    @property
    def args(self) -> tuple[str, ...]:
        """As they travel among Beam's arguments."""
        return (f"{_ADDRESS}={self.address}",)


Cluster = SparkOptions | RayOptions

_NAMING = (_RUNNER, _MASTER, _ADDRESS)


def joined(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return the arguments of several places, of which a later one is nearer to the node.

    One that names where work is done replaces all those before it.
    """
    args: tuple[str, ...] = ()
    for group in map(tuple, groups):
        args = group if names_a_place(group) else (*args, *group)
    return args


def names_a_place(args: Sequence[Any]) -> bool:
    """Whether arguments name a runner of Beam's or a cluster; placeholders of TFX's name none."""
    texts = tuple(arg for arg in args if isinstance(arg, str))
    return any(flag in _NAMING for flag, _ in _options(texts))


def cluster_of(args: Sequence[str]) -> Cluster | None:
    """Return the cluster that arguments name last; None where they name a runner or nothing.

    Raises:
      ParameterError: an argument of ours is not what it should be.
    """
    named = list(_options(args))
    places = [place for place, (flag, _) in enumerate(named) if flag in _NAMING]
    last, place = (named[places[-1]], places[-1]) if places else (("", ""), -1)
    conf = {}
    for flag, value in named[place + 1 :]:
        if flag != _CONF:
            continue
        key, is_given, content = value.partition("=")
        if not is_given or last[0] != _MASTER:
            raise ParameterError(
                f"{_CONF} should be KEY=VALUE and stand after {_MASTER}, got {value!r}"
            )
        conf[key] = content
    if last[0] == _MASTER:
        return SparkOptions(last[1], conf)
    return RayOptions(last[1]) if last[0] == _ADDRESS else None


def for_beam(args: Iterable[str]) -> list[str]:
    """Return arguments without those of ours, which Beam does not know."""
    ours = (_MASTER, _CONF, _ADDRESS)
    return [arg for arg in args if arg.partition("=")[0] not in ours]


def _options(args: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield flags and their values, which stand after `=` or as the next argument."""
    for arg, following in zip_longest(args, args[1:], fillvalue=""):
        flag, is_joined, value = arg.partition("=")
        if flag.startswith("--"):
            yield flag, value if is_joined else following
