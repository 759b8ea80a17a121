"""Notices by e-mail, over SMTP (RFC 5321), with TLS where the URL asks for it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from fhir_server.extension import Surroundings

SECONDS = 20.0


class SmtpSender:
    """Sends by one SMTP server: `smtp://` speaks TLS where the server offers it (STARTTLS), `smtps://` always."""

    systems = frozenset({"email"})

    def __init__(self, url: str, sender: str) -> None:
        self._url = urlsplit(url)
        self._sender = sender

    async def send(self, address: str, subject: str, text: str) -> None:
        """Send one message; raise OSError where the server did not take it."""
        await asyncio.to_thread(self._send, address, subject, text)

    def greet(self) -> None:
        """Log in and send nothing; raise OSError where the server does not let us."""
        with self._connection() as connection:
            self._log_in(connection)

    def _log_in(self, connection: smtplib.SMTP) -> None:
        if self._url.username:
            connection.login(unquote(self._url.username), unquote(self._url.password or ""))

    def _send(self, address: str, subject: str, text: str) -> None:
        message = EmailMessage()
        try:
            message["From"], message["To"], message["Subject"] = self._sender, address, subject
        except ValueError as failure:  # an address with line breaks, which would be another header
            raise OSError("This is no address.") from failure
        message.set_content(text)
        with self._connection() as connection:
            self._log_in(connection)
            connection.send_message(message)

    def _connection(self) -> smtplib.SMTP:
        host, context = self._url.hostname or "localhost", ssl.create_default_context()
        if self._url.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port_of(self._url), timeout=SECONDS, context=context)
        connection = smtplib.SMTP(host, port_of(self._url), timeout=SECONDS)
        try:
            connection.ehlo_or_helo_if_needed()
            if connection.has_extn("starttls"):
                connection.starttls(context=context)
        except BaseException:
            with suppress(OSError):
                connection.close()
            raise
        return connection


def port_of(url: SplitResult) -> int:
    """The port of a URL, or the usual one of its scheme."""
    return url.port or (465 if url.scheme == "smtps" else 25)


def smtp(surroundings: Surroundings) -> SmtpSender | None:
    """The sender that the settings describe; None where they name no server."""
    settings = surroundings.settings
    return SmtpSender(settings.smtp_url, settings.smtp_from) if settings.smtp_url else None
