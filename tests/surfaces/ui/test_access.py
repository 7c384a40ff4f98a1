"""Who reaches the live page."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import click
import pytest
from click.testing import CliRunner
from starlette.requests import Request

from penstock.errors import ConfigError, MissingExtra
from penstock.metadata.databases.addresses import connection_config
from penstock.metadata.databases.opening import database_of, open_store
from penstock.project.profiles import Profile
from penstock.surfaces.cli.main import penstock
from penstock.surfaces.ui.access import Access
from penstock.surfaces.ui.app import Server


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def status(url: str, method: str = "GET", **headers: str) -> int:
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def base(site: str) -> str:
    return site.partition("?")[0]


@pytest.mark.parametrize("path", ["", "?token=wrong", "?token=", "compare", "runs/x", "nowhere"])
def test_without_the_right_token_every_answer_is_403(site, path):
    assert status(base(site) + path) == 403


def test_the_token_of_the_address_becomes_a_cookie(site):
    cookie = f"penstock-{urlsplit(site).port}"
    assert status(site) == 303
    assert status(base(site), Cookie=f"{cookie}=wrong") == 403
    assert status(base(site), Cookie=f"{cookie}=the-right-token") == 200


def test_a_code_lets_in_once():
    access = Access(None, "the-right-token", "the-code")

    def ask(query: str) -> int | None:
        request = Request(
            {
                "type": "http",
                "method": "GET",
                "path": "/",
                "scheme": "http",
                "query_string": query.encode(),
                "server": ("127.0.0.1", 8000),
                "headers": [(b"host", b"127.0.0.1:8000")],
            }
        )
        answer = access._answer(request)
        return None if answer is None else answer.status_code

    assert [ask("code=other"), ask("code=")] == [403, 403]
    assert ask("code=the-code") == 303
    assert ask("code=the-code") == 403
    assert ask("code=") == 403


def test_the_token_is_on_no_command_line(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    monkeypatch.setattr(Server, "run", lambda self: self._announce(f"/?token={self._token}"))
    (tmp_path / "penstock.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    open_store(database_of(connection_config(str(tmp_path / "store.sqlite"))), create=True)
    arguments = ["ui", "--open"]
    monkeypatch.setattr(Profile, "metadata_address", lambda _: str(tmp_path / "store.sqlite"))
    said = CliRunner().invoke(penstock, arguments, catch_exceptions=False).output
    token = said.partition("token=")[2].strip()
    assert token
    assert len(opened) == 1
    assert "/?code=" in opened[0]
    assert token not in opened[0]


@pytest.mark.parametrize("host", ["evil.example", "localhost", "evil.example:{port}"])
def test_another_host_name_is_refused_even_with_the_token(site, host):
    assert status(site, Host=host.format(port=urlsplit(site).port)) == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_pages_can_only_be_read(site, method):
    assert status(site, method) == 405


def test_nobody_else_s_page_can_frame_or_keep_it(site):
    cookie = f"penstock-{urlsplit(site).port}=the-right-token"
    request = urllib.request.Request(base(site), headers={"Cookie": cookie})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_command_names_the_extra_that_it_needs(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = CliRunner().invoke(penstock, ["ui"]).exception
    assert isinstance(found, MissingExtra)
    assert str(found) == (
        "penstock ui needs starlette and uvicorn, which are not installed. "
        "Install them: pip install 'penstock[ui]'."
    )


def test_a_port_that_somebody_has_is_said_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of this machine cannot be used: Addr"):
            Server(Access(None, "token"), port, print).run()
