"""What a server's refusals and missing answers mean, each as an error with the next step."""

from __future__ import annotations

import json
import re
from typing import Any

from penstock.errors import ServiceError, UnansweredError

_LONGEST_QUOTE = 600
# Who answers with these could not do it now.
_AWAY = (502, 503, 504)
# What servers write for people where they write the reason elsewhere. (NewInternalServerError in
# backend/src/common/util/error.go of kubeflow/pipelines 2.17.0)
_SAYS_NOTHING = frozenset({"", "Internal Server Error"})
_OBJECT = re.compile(r"^(<.*?>|\w+\(.*?\)): ")


def refusal(
    status: int, body: str, content_type: str, request: str, host: str, location: str = ""
) -> ServiceError:
    """Return the error for an answer that is no success.

    `request` is what was asked, in words; `location` where a redirection leads.
    """
    if 300 <= status < 400 or _is_page(body, content_type):
        return wrong_server(host, location)
    quotation = message_of(body)
    quoted = f": {quotation}" if quotation else ""
    if status == 401:
        return ServiceError(
            f"{host} does not accept the token: {request} was refused with status 401{quoted}",
            status=status,
            hint="Tokens expire: get a new one and put it into the environment variable that the "
            "profile's `token` names.",
        )
    if status == 403:
        return ServiceError(
            f"{host} forbids this user to {request} (status 403){quoted}",
            status=status,
            hint="Check the profile's `namespace`, and ask its owner for the role kubeflow-edit "
            "there; with a token, check whose it is.",
        )
    if status == 404:
        return ServiceError(
            f"{host} did not find what was asked for: {request} was answered with status 404"
            f"{quoted}",
            status=status,
            hint="Check the name or id, and that the profile's `host` is that of Kubeflow "
            "Pipelines; behind Kubeflow's dashboard it ends with /pipeline.",
        )
    if status == 409:
        return ServiceError(
            f"{host} has something of this name already: {request} was refused with status 409"
            f"{quoted}",
            status=status,
            hint="Choose another name, or remove what has it on the server's pages.",
        )
    if status < 500:
        return ServiceError(
            f"{host} refused to {request} (status {status}){quoted}",
            status=status,
            hint="The message is the server's. If it is about the pipeline's specification, look "
            "at it with penstock compile.",
        )
    away = status in _AWAY
    hint = "Try again; if it lasts, the log of the deployment ml-pipeline says more."
    if _is_json(body):
        # The API server itself has come to the end of the request.
        message = f"{host} failed to {request} (status {status}){quoted}"
        if not away:
            # What Argo and Kubernetes refuse comes as an error of the server.
            hint = (
                "The message is the server's, of what it could not do; the log of the deployment "
                "ml-pipeline says more."
            )
        return ServiceError(message, status=status, transient=away, hint=hint)
    return UnansweredError(
        f"what stands before {host} answered with status {status} when asked to {request}{quoted}",
        status=status,
        transient=True,
        hint=hint,
    )


def wrong_server(host: str, location: str = "") -> ServiceError:
    """Return the error for an answer that is a page for people, most likely to sign in."""
    where = f", and sends to {location.partition('?')[0]}" if location else ""
    return ServiceError(
        f"{host} answers with a web page{where}: it is not the API of Kubeflow Pipelines, or it "
        "wants to be signed in to",
        hint="Give the profile a `token`, or `cookies` of a session; or make `host` the API "
        "itself: kubectl port-forward -n kubeflow svc/ml-pipeline 8888 and http://localhost:8888.",
    )


def no_answer(error: Exception, request: str, host: str) -> ServiceError:
    """Return the error for a request that got no answer.

    It is an UnansweredError unless the request was certainly never sent.
    """
    import urllib3

    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, Exception) else error
    if isinstance(cause, urllib3.exceptions.SSLError):
        return ServiceError(
            f"no trusted connection to {host}: {_brief(cause)}",
            hint="If its certificate is your organization's own, name the file of the authority "
            "in the profile's `ca_certificate`; if the port speaks http, write http:// in `host`.",
        )
    never_sent = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.LocationParseError,
        urllib3.exceptions.LocationValueError,
    )
    if isinstance(cause, never_sent):
        return ServiceError(
            f"{host} is not reached: {_brief(cause)}",
            transient=True,
            hint="Check the profile's `host` and that its network can be reached from here, as by "
            "kubectl port-forward -n kubeflow svc/ml-pipeline 8888.",
        )
    how = (
        "there was no answer in time"
        if isinstance(cause, urllib3.exceptions.TimeoutError)
        else f"the connection was lost ({_brief(cause)})"
    )
    return UnansweredError(
        f"{host} was asked to {request}, and {how}",
        transient=True,
        hint="Try again; if it lasts, look at the deployment ml-pipeline and what stands before "
        "it.",
    )


def message_of(body: str) -> str:
    """Return what an error's body says to people, in one line."""
    try:
        content = json.loads(body)
    except ValueError:
        return _one_line(body)
    if not isinstance(content, dict):
        return _one_line(body)
    details = [d.get("message") for d in content.get("details") or () if isinstance(d, dict)]
    candidates = [
        *details,
        content.get("message"),
        content.get("error_message"),
        content.get("error"),
    ]
    texts = [str(text) for text in candidates if text]
    telling = (text for text in texts if text not in _SAYS_NOTHING)
    return _one_line(next(telling, texts[0] if texts else ""))


def is_page(body: str, content_type: str | None) -> bool:
    """Say whether an answer is a page for people."""
    return _is_page(body, content_type or "")


def _is_page(body: str, content_type: str) -> bool:
    start = body.lstrip()[:200].lower()
    return "text/html" in content_type or start.startswith(("<!doctype html", "<html"))


def _is_json(body: str) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= _LONGEST_QUOTE:
        return line
    # A server says what it was about first, and the reason last.
    beginning = _LONGEST_QUOTE // 3
    return f"{line[:beginning]} … {line[beginning - _LONGEST_QUOTE :]}"


def _brief(error: Any) -> str:
    """Return an error of urllib3's without the objects that it names."""
    return _one_line(_OBJECT.sub("", str(error)))
