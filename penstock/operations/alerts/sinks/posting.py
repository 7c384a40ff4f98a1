"""Sending JSON over HTTP, and what an answer means for a message."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from penstock.operations.alerts.sinks.undelivered import Undelivered

# A message that is refused so is refused for what it says.
_REFUSED = (400, 413, 422)
_LONGEST_WAIT = 86400.0
_MOST_BYTES = 500


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        """Follow none: what is sent is for one address alone."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    certificate_authority: str = "",
) -> None:
    """Send a body of JSON; return when it was taken.

    Raises:
      Undelivered: it was not, or nobody knows.
    """
    # Only where it is and not what is in its path, which can be a secret.
    where = _shown(url)
    try:
        request = _request(url, body, headers)
        handlers: list[urllib.request.BaseHandler] = [_NoRedirection()]
        if url.startswith("https://"):
            context = ssl.create_default_context(cafile=certificate_authority or None)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*handlers).open(request, timeout=seconds):
            return
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(where, error) from None
    except (http.client.InvalidURL, ValueError, UnicodeError):
        raise Undelivered(f"{where}: its url or a header is none that can be sent") from None
    except TimeoutError:
        raise Undelivered(f"{where} has not answered within {seconds:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise Undelivered(f"{where} has not answered within {seconds:g} s") from None
        raise Undelivered(f"{where} does not answer: {reason}") from None


def _request(url: str, body: bytes, headers: Mapping[str, str]) -> urllib.request.Request:
    parts = urlsplit(url)
    sent = {"Content-Type": "application/json", "User-Agent": "penstock", **headers}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        sent["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return urllib.request.Request(url, body, sent, method="POST")


def _refusal(where: str, error: urllib.error.HTTPError) -> Undelivered:
    if error.code in (301, 302, 303, 307, 308):
        return Undelivered(f"{where} leads elsewhere; give the address where it answers itself")
    try:
        said = error.read1(_MOST_BYTES).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException, ValueError):
        said = ""
    text = f"{where} answers with status {error.code}" + (f": {said}" if said else "")
    after = _seconds(error.headers.get("Retry-After", ""))
    return Undelivered(text, again=error.code not in _REFUSED, after=after)


def _seconds(retry_after: str) -> float:
    """Return the seconds that a header Retry-After asks for, 0 where it says nothing."""
    if retry_after.strip().isdecimal():
        return min(float(retry_after), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)


def _shown(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else "the sink"
    except ValueError:
        return "the sink"
