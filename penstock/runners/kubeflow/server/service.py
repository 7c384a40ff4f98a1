"""The connection to a Kubeflow Pipelines server: requests, what is tried again, and errors.

Requests are made through the API client of the Kubeflow SDK, which knows about addresses, proxies
and credentials; its high-level helpers are not used, because they have no timeouts. Redirections
are not followed and nothing is sent twice behind our back: what may be tried again is decided
here, request by request.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from penstock.errors import ServiceError, UnansweredError
from penstock.runners.kubeflow.server import responses
from penstock.safety.secrets import Redaction

API = "/apis/v2beta1"
PAGE_SIZE = 100

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Patience:
    """How long answers are waited for, in seconds, and how reading requests are tried again.

    `pauses` are those between attempts; `settling` how long to look for the effect of a request
    that got no answer; `interval` how often to look at a run.
    """

    connecting: float = 10
    reading: float = 60
    pauses: tuple[float, ...] = (0.5, 1, 2, 4)
    settling: tuple[float, ...] = (0.5, 1, 2, 4, 8)
    interval: float = 5
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Service:
    """A server, with the credentials to talk to it. `api` is the SDK's API client."""

    api: Any
    host: str
    namespace: str = ""
    redaction: Redaction = field(default_factory=Redaction)
    patience: Patience = field(default_factory=Patience)
    pages: str = ""

    def get(self, path: str, request: str, **query: Any) -> dict[str, Any]:
        """Read something; tried again for a while if there is no answer.

        `request` says in words what is done: "list the runs".

        Raises:
          ServiceError: there is no answer, or a refusal.
        """
        return self.again(lambda: self._object("GET", API + path, request, query=query))

    def post(
        self, path: str, request: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Change something, with one request that is not repeated.

        Raises:
          UnansweredError: nobody can say whether it has happened.
          ServiceError: it has not.
        """
        return self._object("POST", API + path, request, body=body)

    def delete(self, path: str, request: str) -> dict[str, Any]:
        """Remove something, with one request that is not repeated; errors are those of `post`."""
        return self._object("DELETE", API + path, request)

    def upload(self, path: str, request: str, content: bytes, **query: Any) -> dict[str, Any]:
        """Upload a pipeline's documents, with one request; errors are those of `post`."""
        file = ("uploadfile", ("pipeline.yaml", content, "application/yaml"))
        return self._object("POST", API + path, request, query=query, files=[file])

    def text(self, path: str, request: str) -> str:
        """Read a text, such as a log; tried again for a while if there is no answer."""
        return self.again(lambda: self._text("GET", path, request))

    def listed(self, path: str, key: str, request: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield what a list has, page by page."""
        token = ""
        while True:
            page = self.get(path, request, page_token=token, page_size=PAGE_SIZE, **query)
            yield from page.get(key) or ()
            token = page.get("next_page_token") or ""
            if not token:
                return

    def again(self, attempt: Callable[[], _Answer]) -> _Answer:
        """Do what can be done twice, until it is answered or patience ends."""
        for pause in self.patience.pauses:
            try:
                return attempt()
            except ServiceError as error:
                if not error.transient:
                    raise
            self.patience.sleep(pause)
        return attempt()

    def page_of(self, kind: str, identifier: str) -> str:
        """Return the address of the page of a run, or of something else."""
        return f"{self.pages or self.host}/#/{kind}/details/{identifier}"

    def _object(self, method: str, path: str, request: str, **more: Any) -> dict[str, Any]:
        text = self._text(method, path, request, **more)
        try:
            content = json.loads(text or "{}")
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise UnansweredError(
                f"{self.host} was asked to {request} and answered with something that is not "
                f"JSON: {self.redaction.text(text[:200])!r}",
                hint="Check that the profile's `host` is the API of Kubeflow Pipelines.",
            )
        return content

    def _text(
        self,
        method: str,
        path: str,
        request: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        files: list[Any] | None = None,
    ) -> str:
        import urllib3
        from kfp_server_api import ApiException

        headers = {"Accept": "application/json"}
        headers["Content-Type"] = "multipart/form-data" if files else "application/json"
        try:
            response = self.api.call_api(
                path,
                method,
                query_params=[(k, v) for k, v in (query or {}).items() if v not in ("", None)],
                header_params=headers,
                body=body,
                post_params=files or [],
                auth_settings=["Bearer"],
                _preload_content=False,
                _request_timeout=(self.patience.connecting, self.patience.reading),
            )
            text = response.data.decode("utf-8", "replace")
        except ApiException as error:
            raise self._redacted(self._refused(error, request)) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._redacted(responses.no_answer(error, request, self.host)) from None
        if responses.is_page(text, response.headers.get("Content-Type")):
            raise responses.wrong_server(self.host)
        return text

    def _refused(self, error: Any, request: str) -> ServiceError:
        headers = error.headers or {}
        if not error.status:
            return responses.no_answer(_ssl_error(error.reason), request, self.host)
        return responses.refusal(
            error.status,
            error.body or "",
            headers.get("Content-Type", ""),
            request,
            self.host,
            headers.get("Location", ""),
        )

    def _redacted(self, error: ServiceError) -> ServiceError:
        error.message = self.redaction.text(error.message)
        return error


def _ssl_error(reason: Any) -> Exception:
    import urllib3

    return urllib3.exceptions.SSLError(str(reason).partition("\n")[2] or str(reason))
