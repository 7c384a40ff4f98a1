"""Object stores that are busy, and connections that break, are tried again, and then told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.data.files import remote
from penstock.errors import StorageError
from penstock_support.faulty_proxy import BUSY, CUT, RESET, Proxy, faulty_proxy
from penstock_support.kubeflow_backend import BUCKET, s3_service

pytestmark = pytest.mark.needs("s3fs")

FOLDER = f"s3://{BUCKET}/data"
CONTENT = "".join(f"{number},some text\n" for number in range(20_000))


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """A proxy before an S3 service for this process."""
    with s3_service() as environment, faulty_proxy(environment["AWS_ENDPOINT_URL"]) as proxy:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setenv("AWS_ENDPOINT_URL", proxy.address)
            yield proxy


@pytest.fixture
def local(proxy: Proxy, tmp_path: Path) -> Path:
    """A file that the service has too."""
    proxy.fail()
    path = tmp_path / "rows.csv"
    path.write_text(CONTENT)
    remote.upload(str(path), f"{FOLDER}/rows.csv")
    return path


def is_content(method: str, path: str) -> bool:
    return method == "GET" and "list-type" not in path


def is_writing(method: str, path: str) -> bool:
    return method == "PUT" and "rows.csv" in path


@pytest.mark.parametrize("fault", [BUSY, RESET, CUT])
@pytest.mark.parametrize(
    "act",
    [
        lambda path: remote.fetch(f"{FOLDER}/rows.csv", str(path)),
        lambda path: path.write_bytes(remote.read_bytes(f"{FOLDER}/rows.csv")),
    ],
    ids=["fetch", "read"],
)
def test_what_breaks_is_read_whole(
    proxy: Proxy, local: Path, tmp_path: Path, fault: str, act: Callable[[Path], object]
) -> None:
    proxy.fail(fault, only=is_content)
    act(tmp_path / "read.csv")
    assert (tmp_path / "read.csv").read_text() == CONTENT
    assert not proxy.faults


@pytest.mark.parametrize("fault", [BUSY, RESET, CUT])
def test_a_list_that_breaks_is_whole(proxy: Proxy, local: Path, fault: str) -> None:
    proxy.fail(fault)
    [listed] = remote.list_files(FOLDER)
    assert (listed.name, listed.size) == ("rows.csv", local.stat().st_size)


@pytest.mark.parametrize("fault", [BUSY, RESET, CUT])
def test_a_file_that_is_written_with_breaks_is_there_once_and_whole(
    proxy: Proxy, local: Path, fault: str
) -> None:
    proxy.fail(fault, only=is_writing)
    remote.upload(str(local), f"{FOLDER}/rows.csv")
    assert not proxy.faults
    assert remote.read_bytes(f"{FOLDER}/rows.csv") == local.read_bytes()
    assert remote.names(FOLDER) == ["rows.csv"]


def test_what_breaks_for_good_is_told_with_its_address_and_leaves_no_part(
    proxy: Proxy, local: Path, tmp_path: Path
) -> None:
    proxy.fail(*[CUT] * 100, only=is_content)
    with pytest.raises(StorageError, match=f"cannot read {FOLDER}/rows.csv"):
        remote.fetch(f"{FOLDER}/rows.csv", str(tmp_path / "read.csv"))
    assert not (tmp_path / "read.csv").exists()


def test_a_file_that_breaks_after_it_was_opened_is_told_with_its_address(
    proxy: Proxy, local: Path
) -> None:
    proxy.fail()
    opened = remote.open_file(f"{FOLDER}/rows.csv")
    proxy.fail(*[CUT] * 100, only=is_content)
    with opened, pytest.raises(StorageError, match=f"cannot read {FOLDER}/rows.csv"):
        opened.read()
