"""What `penstock doctor` looks at: one function a thing, each with a finding and what to do."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from penstock.errors import PenstockError, ServiceError
from penstock.project import extras
from penstock.project.config import Config
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.profiles import Profile
from penstock.runners.kubeflow.server.service import API, Patience, Service
from penstock.surfaces.cli.options import load_pipeline

# Nothing waits longer for an answer: all of it is said within three seconds.
_PATIENCE_SECONDS = 1.5
_GB = 1_000_000_000
# So many rows that cannot be read are named.
_ROWS = 20
_PYTHONS = ((3, 11), (3, 13))


@dataclass(frozen=True)
class Finding:
    """What was found of one thing: fine, unused, doubtful (it may do) or wrong (it will not)."""

    name: str
    state: Literal["fine", "unused", "doubtful", "wrong"]
    found: str
    advice: str = ""


def python() -> Finding:
    """Python's version, and where it is."""
    version = sys.version_info[:2]
    installed = f"{platform.python_version()} at {sys.executable}"
    if _PYTHONS[0] <= version <= _PYTHONS[1]:
        return Finding("Python", "fine", installed)
    return Finding("Python", "wrong", installed, "Penstock needs Python 3.11, 3.12 or 3.13.")


def system() -> Finding:
    """The operating system and the C library, for which ML Metadata's wheels are made."""
    library, version = platform.libc_ver()
    description = (
        f"{platform.system()} {platform.machine()}, {library or 'C library'} {version}".strip()
    )
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        advice = "Penstock is tested on Linux x86_64 alone; a container of it will do."
        return Finding("system", "doubtful", description, advice)
    if library != "glibc":
        return Finding(
            "system", "wrong", description, "ML Metadata needs glibc, as Debian's and Ubuntu's."
        )
    needed = (2, 17) if sys.version_info[:2] == (3, 11) else (2, 39)
    if tuple(int(part) for part in version.split(".")[:2]) < needed:
        advice = (
            f"ML Metadata for this Python needs glibc {needed[0]}.{needed[1]}: use Python 3.11, or "
            "Ubuntu 24.04, Debian 13 or newer."
        )
        return Finding("system", "wrong", description, advice)
    return Finding("system", "fine", description)


def processors(profile: Profile) -> Finding:
    """How many nodes can work at the same time."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parallelism = profile.parallelism or count
    description = f"{count} CPU{'' if count == 1 else 's'}, so {parallelism} nodes work at a time"
    if profile.parallelism:
        description = (
            f"{count} CPUs; profile {profile.name} says that {parallelism} nodes work at a time"
        )
    return Finding("CPUs", "fine", description)


def memory() -> Finding:
    """Memory that is free, or that the container leaves."""
    free = _free_memory()
    if free is None:
        return Finding("memory", "doubtful", "not known how much is free")
    description = f"{free / _GB:.1f} GB free"
    if free < 1.5 * _GB:
        advice = (
            "TensorFlow alone needs 1 GB a node: end other programs, or give the container more."
        )
        return Finding("memory", "wrong", description, advice)
    if free < 4 * _GB:
        advice = "Nodes with TensorFlow take 1 GB each: if one is killed, use --parallelism 1."
        return Finding("memory", "doubtful", description, advice)
    return Finding("memory", "fine", description)


def disk(profile: Profile) -> Finding:
    """Space at the pipeline root, and whether it may be written."""
    try:
        root = os.path.dirname(profile.root_of("pipeline"))
    except PenstockError as error:
        return Finding("pipeline root", "wrong", str(error))
    if "://" in root:
        return Finding("pipeline root", "fine", f"{root}, which has no local disk to look at")
    folder = Path(root).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    description = f"{root}, {free / _GB:.1f} GB free"
    if not there.is_dir() or not os.access(there, os.W_OK):
        advice = f"{there} cannot be written: change its rights, or pipeline_root in penstock.toml."
        return Finding("pipeline root", "wrong", description, advice)
    if free < 0.2 * _GB:
        return Finding(
            "pipeline root", "wrong", description, "Make room: penstock gc shows what can go."
        )
    if free < 2 * _GB:
        return Finding("pipeline root", "doubtful", description, "penstock gc shows what can go.")
    return Finding("pipeline root", "fine", description)


def packages() -> Finding:
    """Whether the installed packages are of versions that each other asks for."""
    from importlib import metadata

    problems = list(_conflicts("penstock"))
    versions = []
    for name in ("ml-pipelines-sdk", "ml-metadata", "kfp", "tfx", "tensorflow", "apache-beam"):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue  # of an extra, or told as a problem
    if not problems:
        return Finding("packages", "fine", ", ".join(versions))
    advice = "Install Penstock anew into an empty environment, with uv."
    return Finding("packages", "wrong", "; ".join(problems[:5]), advice)


def installed_extras(config: Config) -> Finding:
    """Which extras are installed, and which the project's pipelines lack."""
    from penstock import ir
    from penstock.execution import needs

    installed = [
        name for name, found in extras.EXTRAS.items() if all(map(extras.is_installed, found))
    ]
    description = ", ".join(installed) or "none: this is the core"
    lacking: set[str] = set()
    problems = []
    for name in config.pipelines:
        try:
            compiled = ir.compile_pipeline(load_pipeline(config, name), pipeline_root="")
            absent = needs.missing_packages(ir.view(compiled))
        except PenstockError as error:
            problems.append(f"{name} cannot be looked at: {error}")
            continue
        if absent:
            lacking |= {extras.extra_of(p) for packages in absent.values() for p in packages}
            problems.append(f"{name} needs more for {', '.join(absent)}")
    if not problems:
        return Finding("extras", "fine", description)
    # Others may run them, or the pods of a cluster.
    advice = f"To run them here: {extras.install_command(lacking)}" if lacking else ""
    return Finding("extras", "doubtful", f"{description}; {'; '.join(problems)}", advice)


def files() -> Finding:
    """How many files a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "as many open files as wanted" if soft < 0 else f"{soft} open files a process"
    if 0 <= soft < 1024:
        advice = f"Beam and TensorFlow need 1024: ulimit -n {min(4096, hard) if hard > 0 else 4096}"
        return Finding("file limits", "doubtful", limit, advice)
    return Finding("file limits", "fine", limit)


def project(config: Config, profile: Profile) -> Finding:
    """Which penstock.toml counts here."""
    if config.path is None:
        description = "no penstock.toml here or above; there are the example pipelines"
        return Finding("project", "unused", description, "Begin one: penstock init FOLDER")
    names = ", ".join(sorted(config.pipelines))
    return Finding("project", "fine", f"{config.path}, profile {profile.name}, pipelines: {names}")


def store(profile: Profile) -> Finding:
    """Whether the metadata store can be reached and read, and is of the installed version."""
    from penstock.metadata.databases.patience import HASTY
    from penstock.metadata.inspection import malformed_rows
    from penstock.metadata.store import NoStore, connect, connection_config, without_password
    from penstock.operations.entries import READERS

    location = ""
    try:
        address = profile.metadata_address()
        location = without_password(address)
        parts = urlsplit(address)
        if parts.hostname:
            _reach(parts.hostname, parts.port or {"mysql": 3306}.get(parts.scheme, 5432))
        connection = connection_config(address)
        with connect(connection, create=False, wait_seconds=1, patience=HASTY) as metadata:
            metadata.store.get_artifact_types()
            unreadable = [
                f"{error.row}: {error.problem}" for error in malformed_rows(metadata.store, READERS)
            ]
    except NoStore:
        return Finding("store", "fine", f"{location}, which the first run makes")
    except OSError as error:
        advice = "Start its server, or correct metadata in penstock.toml."
        return Finding("store", "wrong", f"{location} does not answer: {error}", advice)
    except PenstockError as error:
        return Finding("store", "wrong", str(error))
    if unreadable:
        more = f"; and {len(unreadable) - _ROWS} more" if len(unreadable) > _ROWS else ""
        return Finding(
            "store",
            "doubtful",
            f"{location}; rows of it cannot be read, and are left out: "
            f"{'; '.join(unreadable[:_ROWS])}{more}",
            "Another version of Penstock has written them, or something else has changed them: use "
            "that version, or correct them with ML Metadata's client.",
        )
    return Finding("store", "fine", location)


def docker() -> Finding:
    """Docker, with which images for Kubeflow are built."""
    program = shutil.which("docker")
    only = "it is needed for building images only"
    if program is None:
        return Finding("Docker", "unused", f"not installed; {only}")
    try:
        done = subprocess.run(
            [program, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Finding(
            "Docker", "doubtful", f"its daemon does not answer; {only}", "See: docker info"
        )
    if done.returncode:
        reason = done.stderr.strip() or "no reason"
        advice = f"It gives as the reason: {reason}"
        return Finding("Docker", "doubtful", f"its daemon does not answer; {only}", advice)
    return Finding("Docker", "fine", done.stdout.strip())


def cluster(profile: Profile) -> Finding:
    """Whether the Kubeflow Pipelines of the profile answer."""
    options = profile.kubeflow
    if options is None or not options.host:
        return Finding("Kubeflow", "unused", f"profile {profile.name} names no kubeflow.host")
    advice = f"Correct profiles.{profile.name}.kubeflow in penstock.toml, or forward its port."
    try:
        _connected(options).text(f"{API}/healthz", "ask for its health")
    except ServiceError as error:
        if error.status in (401, 403):
            description = (
                f"{options.host} answers, but lets nobody in with this token ({error.status})"
            )
            return Finding("Kubeflow", "wrong", description, "Renew what kubeflow.token refers to.")
        return Finding("Kubeflow", "wrong", error.message, advice)
    except PenstockError as error:
        return Finding("Kubeflow", "wrong", str(error))
    return Finding("Kubeflow", "fine", options.host)


def engine(profile: Profile) -> Finding:
    """Whether the Spark, Ray or Beam of the profile is there, and knows what it is asked with."""
    from penstock.authoring.beam import BeamOptions
    from penstock.execution import engines

    options = BeamOptions(profile.beam_args)
    if not options.args:
        return Finding("Engine", "unused", f"profile {profile.name} names none: work is in process")
    advice = f"Correct what profiles.{profile.name} says of Spark, Ray or Beam in penstock.toml."
    try:
        engines.check_options(options)
    except ImportError as error:
        return Finding("Engine", "wrong", str(error), "Install what it needs, as penstock[tfx].")
    except PenstockError as error:
        return Finding("Engine", "wrong", error.message, error.hint or advice)
    if flags := options.without_effect():
        return Finding(
            "Engine", "doubtful", f"without --runner these say nothing: {', '.join(flags)}"
        )
    return Finding("Engine", "fine", str(options.cluster or options.runner))


def _connected(options: KubeflowOptions) -> Service:
    """Return the profile's server, which is asked once and with little patience."""
    from penstock.runners.kubeflow.server.connecting import connect_to

    patience = Patience(connecting=_PATIENCE_SECONDS, reading=_PATIENCE_SECONDS, pauses=())
    return connect_to(options, patience)


def checks(config: Config, profile: Profile) -> tuple[Callable[[], Finding], ...]:
    """Return what there is to look at for a profile, in the order in which it is told."""
    return (
        python,
        system,
        packages,
        partial(installed_extras, config),
        partial(processors, profile),
        memory,
        partial(disk, profile),
        files,
        partial(project, config, profile),
        partial(store, profile),
        docker,
        partial(cluster, profile),
        partial(engine, profile),
    )


def _free_memory() -> int | None:
    """Return the bytes that are left: the least of what the kernel and a container's limit say."""
    left = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                left.append(int(line.split()[1]) * 1024)
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            left.append(int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        pass  # not Linux, or an older kernel's way to limit containers
    return min(left, default=None)


def _conflicts(root: str) -> Iterator[str]:
    """Yield what is missing or of a version that another package does not take."""
    from importlib import metadata

    from packaging.requirements import Requirement

    @cache
    def metadata_of(name: str) -> Any:  # reading what a package says of itself is what takes time
        return metadata.distribution(name).metadata

    waiting, seen = [(root, True)], set()
    while waiting:
        # What the core asks for comes first; what extras ask for may be left out on purpose.
        waiting.sort(key=lambda found: not found[1])
        name, must_be_there = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for text in metadata_of(name).get_all("Requires-Dist") or ():
            needed = Requirement(text)
            is_core = not needed.marker or needed.marker.evaluate({"extra": ""})
            if not is_core and (name != root or not _is_of_an_extra(needed.marker)):
                continue
            is_needed = must_be_there and is_core
            try:
                version = metadata_of(needed.name)["Version"]
            except metadata.PackageNotFoundError:
                if not is_needed:
                    continue
                yield f"{name} needs {needed.name}, which is not installed"
                continue
            if not needed.specifier.contains(version, prereleases=True):
                yield f"{name} needs {needed.name}{needed.specifier}, and {version} is installed"
            waiting.append((needed.name, is_needed))


def _is_of_an_extra(marker: Any) -> bool:
    return any(marker.evaluate({"extra": extra}) for extra in extras.EXTRAS)


def _reach(host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=_PATIENCE_SECONDS):
        pass
