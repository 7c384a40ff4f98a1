"""A sink that is an incoming webhook of Slack, or of Mattermost and others that take the same.

What comes from data is text and nothing else: no link, no mention, no formatting.
"""

from __future__ import annotations

import json

from penstock.operations.alerts.messages import Message, heading, lines, one_line, title
from penstock.operations.alerts.sinks.posting import post
from penstock.project.alerting import SlackSink

_COLORS = {"info": "#439fe0", "warning": "#daa038", "critical": "#d00000"}
_OVER = "#2eb67d"
_MOST_ATTACHMENTS = 20
_MOST_TEXT = 3000
# A character without width parts what would be a mention or a link.
_PART = "\u200b"


def send(sink: SlackSink, message: Message) -> None:
    """Send a message.

    Raises:
      Undelivered: it was not taken.
    """
    attachments = [
        {
            "color": _COLORS.get(change.raised.alert.severity, _COLORS["warning"])
            if change.raised.is_open
            else _OVER,
            "fallback": plain(heading(change)),
            "title": plain(heading(change)),
            "text": plain_lines(list(lines(change))),
            "mrkdwn_in": [],
        }
        for change in message.changes[:_MOST_ATTACHMENTS]
    ]
    left = len(message.changes) - len(attachments)
    if left:
        attachments.append({"text": f"and {left} more: penstock alert list"})
    content = {
        "text": plain(title(message)),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "attachments": attachments,
    }
    post(
        sink.url,
        json.dumps(content).encode(),
        {"Idempotency-Key": message.message_id},
        seconds=sink.timeout_seconds,
        certificate_authority=sink.certificate_authority,
    )


def plain(text: str) -> str:
    """Return a text as these services show it as it is."""
    shown = one_line(text)
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(character, escaped)
    for sign in ("@", "](", "://", "www."):
        shown = shown.replace(sign, f"{sign[0]}{_PART}{sign[1:]}")
    return shown


def plain_lines(texts: list[str]) -> str:
    """Return lines as these services show them as they are, as many as there is room for."""
    shown = ""
    for text in map(plain, texts):
        if len(shown) + len(text) + 1 > _MOST_TEXT:
            return f"{shown}\n…"
        shown = f"{shown}\n{text}" if shown else text
    return shown
