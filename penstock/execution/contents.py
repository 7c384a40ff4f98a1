"""What is inside an artifact, as a digest that its address and its age do not change.

An artifact's digest covers the names and bytes of its files. It is computed once, by the worker
that made them, and recorded with the number of bytes and a signature: the names, sizes and
modification times. As long as the signature holds, the digest need not be computed again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from penstock import _tfx
from penstock.data import ingestion
from penstock.data.files import remote
from penstock.errors import StorageError
from penstock.metadata.reading import BYTES_PROPERTY, DIGEST_PROPERTY
from penstock.safety.presence import is_there

SIGNATURE_PROPERTY = "content_signature"
CONTENT_PROPERTIES = frozenset({DIGEST_PROPERTY, BYTES_PROPERTY, SIGNATURE_PROPERTY})

_DESTINATION_PROPERTY = "pushed_destination"
# Fewer files are read sooner than threads begin.
_WORTH_THREADS = 2
# What identifies an artifact or says who wrote it and from what, not what it is.
_IDENTITY_PROPERTIES = frozenset(
    {
        "name",
        "state",
        "producer_component",
        "pipeline_name",
        "tfx_version",
        "input_fingerprint",
        "is_external",
        ingestion.TEXTS_PROPERTY,
    }
)


@dataclass(frozen=True)
class Contents:
    """The contents of a file or folder: its digest in hexadecimal, its size, its signature."""

    digest: str
    size: int
    signature: str


def measure(path: str) -> Contents:
    """Read all files below a path."""
    entries = sorted(_entries(path))
    files, statuses = [full for _, full, _ in entries], [status for _, _, status in entries]
    if len(entries) < _WORTH_THREADS:
        digests = list(map(_file_digest, files, statuses))
    else:
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            digests = list(pool.map(_file_digest, files, statuses))
    whole = hashlib.sha256()
    for (name, _, status), digest in zip(entries, digests, strict=True):
        whole.update(_named(name, f"{status.st_size}:{digest}"))
    return Contents(whole.hexdigest(), sum(s.st_size for _, _, s in entries), _signature(entries))


def signature(path: str) -> str:
    """Return the signature of a file or folder without reading it."""
    return _signature(sorted(_entries(path)))


def record(artifact: Any) -> None:
    """Write the contents of a local artifact into its properties; `artifact` is ML Metadata's."""
    path = local_path(artifact.uri)
    if path is None or not is_there(path):
        return
    contents = measure(path)
    artifact.custom_properties[DIGEST_PROPERTY].string_value = contents.digest
    artifact.custom_properties[BYTES_PROPERTY].int_value = contents.size
    artifact.custom_properties[SIGNATURE_PROPERTY].string_value = contents.signature


def recorded(artifact: Any) -> Contents | None:
    """Return the contents that an artifact of ML Metadata was published with, if they are known."""
    properties = artifact.custom_properties
    if DIGEST_PROPERTY not in properties:
        return None
    return Contents(
        properties[DIGEST_PROPERTY].string_value,
        properties[BYTES_PROPERTY].int_value,
        properties[SIGNATURE_PROPERTY].string_value,
    )


def fingerprint(artifact: Any) -> str:
    """Return a digest of what a component can see of an artifact: type, properties, contents.

    The contents of an artifact in an object store are those that it was published with, or else
    what the store says of its files; of one that is elsewhere, its address and id.
    """
    whole = hashlib.sha256(artifact.type_name.encode())
    proto = artifact.mlmd_artifact
    for properties in (proto.properties, proto.custom_properties):
        for name in sorted(_visible(properties)):
            value = properties[name].SerializeToString(deterministic=True)
            whole.update(f"{len(name)}:{name}:{len(value)}:".encode() + value)
    path = local_path(artifact.uri)
    earlier = recorded(proto)
    if path is None:
        elsewhere = earlier.digest if earlier is not None else _remote_digest(artifact)
        whole.update(elsewhere.encode())
    elif not is_there(path):
        whole.update(b"nothing")
    else:
        unchanged = earlier is not None and earlier.signature == signature(path)
        digest = earlier.digest if earlier and unchanged else measure(path).digest
        whole.update(digest.encode())
    return whole.hexdigest()


def visible_properties(artifact: Any) -> dict[str, Any]:
    """Return the properties that count for a component; `artifact` is ML Metadata's."""
    return {
        name: _tfx.data_types_utils.get_metadata_value(properties[name])
        for properties in (artifact.properties, artifact.custom_properties)
        for name in _visible(properties)
    }


def _visible(properties: Any) -> set[str]:
    return set(properties) - CONTENT_PROPERTIES - _IDENTITY_PROPERTIES


def damage(artifact: Any) -> str:
    """Return what has become of a published artifact since, or "" if it is as it was.

    One of which that cannot be told is not as it was.
    """
    try:
        return found_damage(artifact)
    except StorageError as error:
        return str(error)


def found_damage(artifact: Any) -> str:
    """Return what has become of a published artifact since, or "" if it is as it was.

    Raises:
      StorageError: its disk or its object store cannot be asked.
    """
    if artifact.mlmd_artifact.state != _tfx.metadata_store_pb2.Artifact.LIVE:
        return f"{artifact.uri} was removed"
    if harm := _own_damage(artifact):
        return harm
    destination = artifact.get_string_custom_property(_DESTINATION_PROPERTY)
    if destination and _is_gone(destination):
        return f"what was pushed to {destination} is gone"
    return ""


def _own_damage(artifact: Any) -> str:
    earlier = recorded(artifact.mlmd_artifact)
    path = local_path(artifact.uri)
    if path is None:
        return _remote_damage(artifact.uri, earlier)
    if not is_there(path):
        return f"{path} is gone"
    if earlier and earlier.signature != signature(path) and earlier.digest != measure(path).digest:
        return f"{path} was changed"
    return ""


def _is_gone(destination: str) -> bool:
    if remote.is_known(destination):
        return not remote.exists(destination)
    path = local_path(destination)
    return path is not None and not is_there(path)


def _remote_damage(uri: str, earlier: Contents | None) -> str:
    """Return what has become of a published artifact in an object store, as far as it is told."""
    if not remote.is_known(uri):
        return ""
    files = remote.list_files(uri)
    if not files and (earlier is None or earlier.size):
        return f"{uri} is gone"
    if earlier is not None and earlier.size != sum(file.size for file in files):
        return f"{uri} was changed"
    return ""


def _remote_digest(artifact: Any) -> str:
    if not remote.is_known(artifact.uri):
        return f"at {artifact.uri}:{artifact.id}"
    whole = hashlib.sha256()
    for file in remote.list_files(artifact.uri):
        whole.update(
            f"{len(file.name)}:{file.name}:{file.size}:{remote.content_version(file)}\n".encode()
        )
    return whole.hexdigest()


def first_damage(outputs: Mapping[str, Iterable[Any]]) -> str:
    """Return what has become of the first artifact that is not as it was, "" if all are."""
    return next(filter(None, (damage(a) for artifacts in outputs.values() for a in artifacts)), "")


def local_path(uri: str) -> str | None:
    """Return the path of a local URI, None for one of a remote file system."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    return uri if uri and "://" not in uri else None


def _entries(path: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield the name, path and status of every file that one who reads a path comes to.

    Links are followed, as components follow them; one that leads nowhere, or to a folder above it,
    stands for itself.
    """
    if not os.path.isdir(path):
        yield "", path, _status(path)
        return
    pending = [(path, frozenset({_identity(path)}))]
    while pending:
        folder, above = pending.pop()
        for entry in os.scandir(folder):
            if os.path.isdir(entry.path):
                identity = _identity(entry.path)
                if identity not in above:
                    pending.append((entry.path, above | {identity}))
                    continue
            yield os.path.relpath(entry.path, path), entry.path, _status(entry.path)


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _status(path: str) -> os.stat_result:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        with suppress(OSError):
            followed = os.stat(path)
            if not stat.S_ISDIR(followed.st_mode):
                return followed
    return status


def _file_digest(path: str, status: os.stat_result) -> str:
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    # A pipe would be waited for, and a device may have no end.
    link = os.fsencode(os.readlink(path)) if stat.S_ISLNK(status.st_mode) else b""
    return hashlib.sha256(link).hexdigest()


def _named(name: str, said: str) -> bytes:
    return b"%d:%b:%b\n" % (len(name), os.fsencode(name), said.encode())


def _signature(entries: list[tuple[str, str, os.stat_result]]) -> str:
    whole = hashlib.sha256()
    for name, _, status in entries:
        whole.update(_named(name, f"{status.st_size}:{status.st_mtime_ns}"))
    return whole.hexdigest()[:32]
