"""Where events can go, and what is said of where they cannot."""

import importlib.util
import json
import os
import subprocess
import sys
import threading

import pytest

from penstock.errors import ConfigError
from penstock.openlineage import RunEvents, parse_destination
from penstock.openlineage.destination import append_line


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:/var/log/events.jsonl", "/var/log/events.jsonl"),
        ("file:///var/log/events.jsonl", "/var/log/events.jsonl"),
        ("file:///with%20space/events.jsonl", "/with space/events.jsonl"),
        ("file:events.jsonl", os.path.abspath("events.jsonl")),
    ],
)
def test_a_file_is_named_by_its_path_or_its_url(address, path):
    assert parse_destination(address).path == path


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://marquez:5000", "http://marquez:5000/api/v1/lineage"),
        ("http://marquez:5000/", "http://marquez:5000/api/v1/lineage"),
        ("https://host/events?team=a", "https://host/events?team=a"),
    ],
)
def test_an_endpoint_without_a_path_is_that_of_the_api(address, url):
    assert parse_destination(address).url == url


@pytest.mark.parametrize(
    "address", ["events.jsonl", "kafka:topic", "file:", "file:a/", "http:///x"]
)
def test_another_address_is_refused_with_what_can_be_written(address):
    with pytest.raises(ConfigError, match="expected file:PATH or an http") as caught:
        parse_destination(address)
    assert "file:events.jsonl" in str(caught.value)


def test_an_address_that_is_refused_is_not_shown_where_it_could_have_a_secret():
    with pytest.raises(ConfigError) as caught:
        parse_destination("ftp://user:canary@host/x")
    assert "canary" not in str(caught.value)


def test_a_token_is_refused_for_a_file():
    with pytest.raises(ConfigError, match="a token is for an HTTP endpoint"):
        parse_destination("file:events.jsonl", token="canary")


@pytest.mark.parametrize("token", ["two\nlines", "schlüssel"])
def test_a_token_that_no_header_can_have_is_refused_unseen(token):
    with pytest.raises(ConfigError, match="cannot be sent in a header") as caught:
        parse_destination("http://host", token=token)
    assert token not in str(caught.value)


def test_a_destination_shows_neither_token_nor_password():
    destination = parse_destination("https://user:canary@host/x?key=canary", token="canary")
    assert "canary" not in repr(destination)
    assert destination.public_address == "https://host"


def test_without_the_library_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'penstock\[openlineage\]'"):
        RunEvents(parse_destination(f"file:{tmp_path}/events.jsonl"))


def test_the_library_is_loaded_for_a_run_with_events_alone():
    code = (
        "import sys, penstock.openlineage; "
        "sys.exit(bool({'openlineage', 'requests', 'httpx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


APPEND = """
import json, sys
from penstock.openlineage.destination import append_line
path, me, size = sys.argv[1:]
sys.stdin.readline()
for number in range(25):
    line = json.dumps({"writer": me, "number": number, "padding": me * int(size)})
    append_line(path, line.encode())
"""


def test_lines_of_several_processes_never_mix(tmp_path):
    path = tmp_path / "events.jsonl"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(path), str(me), "20000"], stdin=subprocess.PIPE
        )
        for me in range(4)
    ]
    for writer in writers:
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    assert [writer.wait() for writer in writers] == [0] * 4
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 100
    for me in range(4):
        own = [line for line in lines if line["writer"] == str(me)]
        assert [line["number"] for line in own] == list(range(25))
        assert {line["padding"] for line in own} == {str(me) * 20_000}


def test_a_line_that_does_not_fit_is_not_there_by_half(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    append_line(str(path), b"first")
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:3]))
    with pytest.raises(OSError, match="only 3 of 7 bytes"):
        append_line(str(path), b"second")
    monkeypatch.undo()
    append_line(str(path), b"third")
    assert path.read_text() == "first\nthird\n"


def test_threads_append_whole_lines_too(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = [str(n).encode() * 20_000 for n in range(8)]
    threads = [threading.Thread(target=append_line, args=(str(path), line)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_bytes().splitlines()) == sorted(lines)
