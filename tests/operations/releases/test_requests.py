"""Tokens go to the service that they are of, and to no other."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.operations.releases.targets.local import LocalServer
from penstock.operations.releases.targets.protocol import AwayError, TargetError


@pytest.fixture
def answering():
    """Start services that answer each request with a status and headers."""
    servers = []

    def begin(status: int, body: bytes = b"{}", **headers: str):
        seen = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.headers.get("Authorization"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}", seen

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_does_not_carry_the_token_elsewhere(answering, status):
    elsewhere, seen = answering(200)
    url, _ = answering(status, Location=elsewhere)
    with pytest.raises(TargetError, match="leads elsewhere, where no token of ours is sent"):
        LocalServer("m", url=url, token="secret").describe()
    assert seen == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again_later(answering, status):
    url, _ = answering(status, b'{"error": "busy"}')
    with pytest.raises(AwayError, match=f"answers with status {status}: busy"):
        LocalServer("m", url=url).describe()


def test_what_a_server_refuses_is_told(answering):
    url, _ = answering(404, b'{"error": "there is no model m here"}')
    with pytest.raises(TargetError, match="the server refuses it: there is no model m here"):
        LocalServer("m", url=url).describe()


def test_without_a_server_the_folder_is_named(tmp_path):
    with pytest.raises(AwayError, match=f"no server runs that keeps its state in {tmp_path}"):
        LocalServer("m", str(tmp_path)).describe()
