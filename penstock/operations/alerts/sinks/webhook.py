"""A sink that takes messages as JSON over HTTP, and can tell that they are ours.

The header `Penstock-Signature: t=SECONDS,v1=HEX` has the time of sending and the HMAC-SHA256, under
the secret, of that time, a dot and the body. `Idempotency-Key` is the id of the message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time

from penstock.operations.alerts.messages import Message
from penstock.operations.alerts.sinks.posting import post
from penstock.project.alerting import WebhookSink

SIGNATURE = "Penstock-Signature"


def send(sink: WebhookSink, message: Message) -> None:
    """Send a message.

    Raises:
      Undelivered: it was not taken.
    """
    body = json.dumps(message.to_json(), default=str).encode()
    headers = {**sink.headers, "Idempotency-Key": message.message_id}
    if sink.secret:
        headers[SIGNATURE] = sign(body, sink.secret, int(time.time()))
    post(
        sink.url,
        body,
        headers,
        seconds=sink.timeout_seconds,
        certificate_authority=sink.certificate_authority,
    )


def sign(body: bytes, secret: str, seconds: int) -> str:
    """Return the signature of a body that is sent at a time, in seconds since the epoch."""
    signed = hmac.new(secret.encode(), b"%d." % seconds + body, hashlib.sha256)
    return f"t={seconds},v1={signed.hexdigest()}"
