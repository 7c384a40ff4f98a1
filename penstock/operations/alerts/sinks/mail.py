"""A sink that is a server that takes email."""

from __future__ import annotations

import base64
import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from penstock.operations.alerts.messages import Message, heading, lines, title
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.project.alerting import EmailSink

_MOST_CHANGES = 100


def send(sink: EmailSink, message: Message) -> None:
    """Send a message as an email.

    Raises:
      Undelivered: it was not taken.
    """
    where = f"{sink.host}:{sink.port_number}"
    content = email_of(sink, message)
    try:
        with _connected(sink) as server:
            if sink.user:
                _log_in(server, sink.user, sink.password)
            refused = server.send_message(content, sink.sender, list(sink.to))
    except smtplib.SMTPAuthenticationError as error:
        raise Undelivered(f"{where} refuses the user {sink.user}: {_said(error)}") from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        again = any(code < 500 for code in codes)
        told = "; ".join(f"{who}: {text!r}" for who, (_, text) in error.recipients.items())
        raise Undelivered(f"{where} refuses all recipients: {told}", again=again) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        again = error.smtp_code < 500
        raise Undelivered(f"{where} refuses the email: {_said(error)}", again=again) from None
    except TimeoutError:
        text = f"{where} has not answered within {sink.timeout_seconds:g} s"
        raise Undelivered(text) from None
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise Undelivered(f"{where} does not take email: {error}") from None
    if refused:
        # The others have it, and would have it twice.
        who = ", ".join(refused)
        raise Undelivered(f"{where} refuses {who}; the others have the email", again=False)


def email_of(sink: EmailSink, message: Message) -> EmailMessage:
    """Return a message as an email; what is about one alert is one thread."""
    domain = sink.sender.rpartition("@")[2]
    # Not all servers take more than ASCII.
    content = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    content["Subject"] = title(message)
    content["From"] = sink.sender
    content["To"] = ", ".join(sink.to)
    content["Date"] = format_datetime(max(change.at for change in message.changes))
    content["Message-ID"] = f"<{message.message_id}@{domain}>"
    content["Auto-Submitted"] = "auto-generated"
    first = message.changes[0].raised.alert
    thread = hashlib.sha256(f"{first.name}/{first.key}".encode("utf-8", "replace")).hexdigest()
    content["References"] = f"<{thread[:24]}@{domain}>"
    content["X-Penstock-Message"] = message.message_id
    content.set_content("\n".join(_text(message)) + "\n")
    return content


def _text(message: Message) -> list[str]:
    text = []
    for change in message.changes[:_MOST_CHANGES]:
        text += [heading(change), *(f"  {line}" for line in lines(change)), ""]
    return text


def _connected(sink: EmailSink) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=sink.certificate_authority or None)
    where, seconds = (sink.host, sink.port_number), sink.timeout_seconds
    if sink.security == "tls":
        return smtplib.SMTP_SSL(*where, timeout=seconds, context=context)
    server = smtplib.SMTP(*where, timeout=seconds)
    try:
        if sink.security == "starttls":
            server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _log_in(server: smtplib.SMTP, user: str, password: str) -> None:
    if (user + password).isascii():
        server.login(user, password)
        return
    # What RFC 4616 has in UTF-8 the library refuses.
    server.ehlo_or_helo_if_needed()
    plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    code, said = server.docmd("AUTH", f"PLAIN {plain}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, said)


def _said(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    shown = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return f"{error.smtp_code} {shown}"
