"""Files in object stores, and wherever else fsspec reads and writes.

A URL of a scheme but `file://` is remote: s3://, gs://, minio:// or any other of fsspec's. What is
read is fetched to a local folder first, and then read as local files are. minio:// is S3 at the
endpoint of Kubeflow Pipelines' own store, unless the environment names another; credentials and
endpoints come from there, by the names that the services' own libraries give them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penstock.errors import DataError, StorageError
from penstock.project import extras
from penstock.safety import containment

# The store that Kubeflow Pipelines bring since 2.16, as pods see it.
MINIO_ENDPOINT = "http://seaweedfs.kubeflow:9000"
# Those that name another, the first that is set. The last is for minio:// alone.
MINIO_VARIABLE = "PENSTOCK_MINIO_ENDPOINT"
MINIO_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", MINIO_VARIABLE)

_EXTRAS = {"s3": "s3", "s3a": "s3", "minio": "s3", "gs": "gcs", "gcs": "gcs"}
# By these a store tells one content of an object from another, the best first.
_VERSIONS = ("ETag", "etag", "md5Hash", "crc32c", "checksum", "LastModified", "mtime", "created")
# By these it says when an object was written.
_TIMES = ("LastModified", "mtime", "updated", "created")
_WILDCARD = re.compile(r"[*?\[{]")


@dataclass(frozen=True)
class RemoteFile:
    """A file below a remote folder: its name relative to that, its URL, its size in bytes.

    `version` changes with the content, "" where the store says nothing that does. `modified` is
    when it was written, in seconds since the epoch; 0 where the store does not say.
    """

    name: str
    url: str
    size: int
    version: str
    modified: float = 0.0


def is_remote(path: str) -> bool:
    """Whether a path is a URL of another scheme than `file`."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme != "file" and scheme.replace("+", "").isalnum()


def is_known(path: str) -> bool:
    """Whether a path is a URL whose scheme is one of fsspec's: not bigquery://, say."""
    import fsspec

    scheme = path.partition("://")[0]
    return is_remote(path) and (scheme == "minio" or scheme in fsspec.available_protocols())


def join(base: str, *names: str) -> str:
    """Return a URL below another one."""
    return "/".join([base.rstrip("/"), *names])


def relative(base: str, url: str) -> str:
    """Return a URL's name below another one."""
    return url.removeprefix(base.rstrip("/") + "/")


def exists(url: str) -> bool:
    """Whether there is a file or a folder.

    Raises:
      StorageError: the store cannot be reached or does not let us in.
    """
    with _translated("look for", url):
        files, path = _filesystem(url)
        return bool(files.exists(path))


def list_files(url: str) -> list[RemoteFile]:
    """Return the files below a remote folder, or the one file itself with the name "", sorted.

    What the store shows as folders of no content is left out. There may be none.

    Raises:
      StorageError: the store cannot be reached or does not let us in.
    """
    scheme = url.partition("://")[0]
    with _translated("list", url):
        files, path = _filesystem(url)
        path = path.rstrip("/")
        try:
            entries: Mapping[str, Any] = files.find(path, detail=True)
        except FileNotFoundError:
            entries = {}
    listed = []
    for entry, details in entries.items():
        if details.get("type") == "directory" or entry.endswith("/"):
            continue
        inside = entry.strip("/") != path.strip("/")
        name = entry.strip("/").removeprefix(path.strip("/") + "/") if inside else ""
        listed.append(
            RemoteFile(
                name,
                join(url, name) if name else f"{scheme}://{entry.lstrip('/')}",
                int(details.get("size") or 0),
                _version(details),
                _modified(details),
            )
        )
    return sorted(listed, key=lambda file: file.name)


def glob_files(base: str, pattern: str, matcher: re.Pattern[str]) -> list[RemoteFile]:
    """Return the files below `base` whose names a regular expression matches.

    `pattern` is the glob pattern that it stands for: no more is listed than that could match.
    """
    pattern = os.path.normpath(pattern)
    wildcard = _WILDCARD.search(pattern)
    head = pattern[: wildcard.start()].rpartition("/")[0] if wildcard else ""
    files = list_files(join(base, head) if head else base)
    named = [_below(file, head) for file in files]
    return [file for file in named if matcher.fullmatch(file.name)]


def _below(file: RemoteFile, head: str) -> RemoteFile:
    if not head:
        return file
    return replace(file, name=f"{head}/{file.name}")


def fetch(url: str, to: str) -> str:
    """Copy a remote file, or all files below a remote folder, to the local path `to`; return it.

    Raises:
      DataError: there is nothing.
      StorageError: the store cannot be reached or does not let us in, or the disk is full.
    """
    wanted = copies(url, to)
    fetch_files(wanted, wanted.values())
    return to


def copies(url: str, to: str) -> dict[str, str]:
    """Return the local paths, at or below `to`, of the files at or below a URL, by their URLs.

    Raises:
      DataError: there is nothing.
      StorageError: the store cannot be reached or does not let us in.
    """
    files = list_files(url)
    if not files:
        raise nothing_there(url)
    return {file.url: local_name(to, file.name) if file.name else to for file in files}


def fetch_files(urls: Iterable[str], to: Iterable[str]) -> None:
    """Copy remote files to local paths, several at a time; where that fails none is left there.

    Raises:
      StorageError: the store cannot be reached or does not let us in.
    """
    wanted, targets = list(urls), list(to)
    if not wanted:
        return
    for target in targets:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    # Those of one store are fetched together.
    by_store: dict[str, list[tuple[str, str]]] = {}
    for url, target in zip(wanted, targets, strict=True):
        by_store.setdefault(url.partition("://")[0], []).append((url, target))
    for pairs in by_store.values():
        with _translated("read", pairs[0][0]):
            files, _ = _filesystem(pairs[0][0])
            try:
                places = [_filesystem(url)[1] for url, _ in pairs]
                files.get(places, [target for _, target in pairs])
            except BaseException:
                # What came before the end of a connection would be taken for the whole file.
                for target in targets:
                    with suppress(FileNotFoundError):
                        os.remove(target)
                raise


def content_version(file: RemoteFile) -> str:
    """Return what changes with a file's content; it is read where the store does not say."""
    return file.version or hashlib.sha256(read_bytes(file.url)).hexdigest()


def local_name(folder: str, name: str) -> str:
    """Return the local path of a remote file's name below a folder.

    Raises:
      DataError: the name leads out of the folder.
    """
    return containment.below(folder, name, "the name of a remote file")


def read_bytes(url: str) -> bytes:
    """Return the content of a remote file.

    Raises:
      DataError: there is none.
      StorageError: the store cannot be reached or does not let us in.
    """
    with _translated("read", url):
        files, path = _filesystem(url)
        return bytes(files.cat_file(path))


def upload(path: str, url: str) -> None:
    """Copy a local file to a remote one.

    Raises:
      StorageError: the store cannot be reached, or does not let us write there.
    """
    with _translated("write", url):
        files, to = _filesystem(url)
        # Stores without folders have nothing to make here.
        files.makedirs(files._parent(to), exist_ok=True)
        files.put_file(path, to)


def names(url: str) -> list[str]:
    """Return the names of the files and folders just below a remote folder, sorted.

    Raises:
      StorageError: the store cannot be reached or does not let us in.
    """
    with _translated("list", url):
        files, path = _filesystem(url)
        try:
            paths = files.ls(path.rstrip("/"), detail=False)
        except FileNotFoundError:
            return []
    return sorted(entry.rstrip("/").rpartition("/")[2] for entry in paths)


def is_folder(url: str) -> bool:
    """Whether there is something below a URL.

    Raises:
      StorageError: the store cannot be reached or does not let us in.
    """
    with _translated("look for", url):
        files, path = _filesystem(url)
        return bool(files.isdir(path))


def glob(pattern: str) -> list[str]:
    """Return the URLs that a pattern with a scheme matches, sorted.

    Raises:
      StorageError: the store cannot be reached or does not let us in.
    """
    scheme = pattern.partition("://")[0]
    with _translated("list", pattern):
        files, path = _filesystem(pattern)
        return sorted(f"{scheme}://{match.lstrip('/')}" for match in files.glob(path))


def walk(url: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder below a URL with the names of its folders and files, as `os.walk` does.

    Raises:
      StorageError: the store cannot be reached or does not let us in.
    """
    scheme = url.partition("://")[0]
    with _translated("list", url):
        files, path = _filesystem(url)
        for folder, folders, names_of_files in files.walk(path):
            yield f"{scheme}://{folder.lstrip('/')}", list(folders), list(names_of_files)


def remove(url: str) -> None:
    """Remove a remote file, or all files below a remote folder; there may be none.

    Raises:
      StorageError: the store cannot be reached, or does not let us remove them.
    """
    with _translated("remove", url):
        files, path = _filesystem(url)
        try:
            files.rm(path.rstrip("/"), recursive=True)
        except FileNotFoundError:
            return


def nothing_there(url: str) -> DataError:
    """Return the error for a remote file or folder that does not exist."""
    return DataError(
        "there is no such file or folder in the object store",
        path=url,
        hint="Look at the bucket's name and at the endpoint (AWS_ENDPOINT_URL for S3 and MinIO).",
    )


def open_file(url: str, mode: str = "r") -> Any:
    """Open a remote file; what is written is there when it is closed.

    Raises:
      DataError: it is to be read and there is none.
      StorageError: the store cannot be reached or does not let us in.
    """
    writes = bool(set(mode) & set("wax"))
    with _translated("open", url):
        files, path = _filesystem(url)
        if writes:
            files.makedirs(files._parent(path), exist_ok=True)
        opened = files.open(path, mode.replace("t", "").replace("b", "") + "b")
    raw = _OpenedFile(opened, url)
    # By what is asked for: some can be both, in memory for instance.
    binary = io.BufferedWriter(raw) if writes else io.BufferedReader(raw)
    return binary if "b" in mode else io.TextIOWrapper(binary)


class _OpenedFile(io.RawIOBase):
    """A remote file whose errors are ours, also of what is read or written after it was opened."""

    def __init__(self, opened: Any, url: str) -> None:
        self._opened, self._url = opened, url

    def readable(self) -> bool:
        return bool(self._opened.readable())

    def writable(self) -> bool:
        return bool(self._opened.writable())

    def seekable(self) -> bool:
        return bool(self._opened.seekable())

    def tell(self) -> int:
        return int(self._opened.tell())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _translated("read", self._url):
            return int(self._opened.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        with _translated("read", self._url):
            content = self._opened.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        with _translated("read", self._url):
            return bytes(self._opened.read())

    def write(self, content: Any) -> int:
        with _translated("write", self._url):
            return int(self._opened.write(content))

    def close(self) -> None:
        if not self.closed:
            try:
                with _translated("write" if self.writable() else "read", self._url):
                    self._opened.close()
            finally:
                super().close()


def _filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path that the URL has in it."""
    import fsspec

    scheme, _, rest = url.partition("://")
    options: dict[str, Any] = {"use_listings_cache": False}
    protocol = scheme
    if scheme == "minio":
        protocol = "s3"
        named = (os.environ.get(variable) for variable in MINIO_VARIABLES)
        options["endpoint_url"] = next(filter(None, named), MINIO_ENDPOINT)
    try:
        files = fsspec.filesystem(protocol, **options)
    except ImportError as error:
        raise _not_installed(scheme, url, error) from error
    except ValueError as error:
        raise StorageError(
            f"the scheme {scheme}:// of {url} is not known",
            hint="Use s3://, gs://, minio://, another scheme that fsspec knows, or a local path.",
        ) from error
    return files, files._strip_protocol(f"{protocol}://{rest}")


def _not_installed(scheme: str, url: str, error: ImportError) -> StorageError:
    extra = _EXTRAS.get(scheme)
    hint = extras.install_hint(extra, noun="its library") if extra else str(error)
    return StorageError(f"{scheme}:// needs a library that is not installed: {url}", hint=hint)


def _version(details: Mapping[str, Any]) -> str:
    for key in _VERSIONS:
        if details.get(key):
            return str(details[key]).strip('"')
    return ""


def _modified(details: Mapping[str, Any]) -> float:
    at = next((details[key] for key in _TIMES if details.get(key)), 0.0)
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return 0.0
    return float(at.timestamp() if isinstance(at, datetime) else at)


@contextmanager
def _translated(verb: str, url: str) -> Iterator[None]:
    """Raise what a store's library raises as errors of ours."""
    try:
        yield
    except (DataError, StorageError):
        raise
    except FileNotFoundError as error:
        raise nothing_there(url) from error
    except PermissionError as error:
        raise StorageError(
            f"cannot {verb} {url}: {error}",
            path=url,
            hint="Look at the credentials in the environment: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY for S3 and MinIO, GOOGLE_APPLICATION_CREDENTIALS for gs://.",
        ) from error
    except Exception as error:  # each library has its own, without a common base
        if isinstance(error, OSError) and error.errno and error.filename:
            raise  # of the local disk
        raise StorageError(
            f"cannot {verb} {url}: {type(error).__name__}: {error}",
            path=url,
            hint="Can its endpoint be reached from here? AWS_ENDPOINT_URL says where S3 and MinIO "
            "are, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY who asks.",
        ) from error
