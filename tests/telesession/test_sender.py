"""Notices leave by e-mail, to a real SMTP server on this machine, and by any other sender that is installed."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from fhir_server import extension
from telesession import sender
from telesession.extension import telesession
from telesession.sender import contacts_in
from telesession.smtp_sender import SmtpSender
from tests.access.world import of
from tests.serving import serving
from tests.telesession.test_plain_writes import until
from tests.telesession.world import Country


class MailServer:
    """An SMTP server (RFC 5321, 4.5.1 minimum implementation) that keeps what it takes; `refusals` are not taken."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refusals = 0
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        while line := await reader.readline():
            word = line[:4].upper().strip()
            if word == b"RCPT":
                self.recipients.append(line.decode().partition("<")[2].partition(">")[0])
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                writer.write(self._taken(text))
                continue
            writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 yes\r\n")
            if word == b"QUIT":
                break
        writer.close()

    def _taken(self, text: bytes) -> bytes:
        if self.refusals:
            self.refusals -= 1
            return b"451 later\r\n"
        self.messages.append(
            email.message_from_bytes(text.removesuffix(b"\r\n.\r\n"), EmailMessage, policy=email.policy.default)
        )
        return b"250 taken\r\n"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server.open()):
        yield server


class Telegraph:
    """A sender that an operator has added."""

    systems = frozenset({"sms"})
    sent: list[tuple[str, str]]

    def __init__(self) -> None:
        self.sent = []

    async def send(self, address: str, _subject: str, text: str) -> None:
        self.sent.append((address, text))
        raise OSError("the line is cut")


TELEGRAPH = Telegraph()


def telegraph(_surroundings: Any) -> Telegraph:
    return TELEGRAPH


FOUND = [
    EntryPoint("smtp", "telesession.smtp_sender:smtp", sender.GROUP),
    EntryPoint("telegraph", "tests.telesession.test_sender:telegraph", sender.GROUP),
]


def test_a_notice_goes_to_the_addresses_of_its_recipients(mail: MailServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sender, "entry_points", lambda group: FOUND if group == sender.GROUP else [])
    monkeypatch.setattr(extension, "SECONDS_BETWEEN_LOOKS", 0.02)
    mail.refusals = 1
    chosen: dict[str, Any] = {"smtp_url": f"smtp://127.0.0.1:{mail.port}", "smtp_from": "tele@node.example"}
    with serving(organization="node", extensions=[telesession], **chosen) as served:
        country = Country(served)
        country.people()
        contacts = [
            {"system": "email", "value": "old@hub.example", "use": "old"},
            {"system": "email", "value": "second@hub.example", "rank": 2},
            {"system": "email", "value": "first@hub.example", "rank": 1},
            {"system": "sms", "value": "+84 900 000 001"},
        ]
        country.put("", of("Organization", "hub", name="hub", telecom=contacts))
        request = country.request()
        country.through(request, "submit")
        until(lambda: bool(mail.messages))
        country.happen("his", request, "submit")
        until(lambda: len(TELEGRAPH.sent) >= sender.ATTEMPTS)
    (message,) = mail.messages
    assert set(mail.recipients) == {"first@hub.example"}
    assert (message["From"], message["To"]) == ("tele@node.example", "first@hub.example")
    assert message.get_content().strip() == "Có yêu cầu tư vấn mới."
    assert TELEGRAPH.sent == [("+84 900 000 001", "Có yêu cầu tư vấn mới.")] * sender.ATTEMPTS


def test_an_address_that_is_none_is_not_sent_to(mail: MailServer):
    post = SmtpSender(f"smtp://127.0.0.1:{mail.port}", "tele@node.example")
    with pytest.raises(OSError, match="no address"):
        asyncio.run(post.send("a@b.example\r\nBcc: c@d.example", "subject", "text"))
    assert mail.messages == []


def test_old_addresses_are_left_out_and_preferred_ones_are_first():
    telecom = [{"system": "email", "value": "b"}, {"system": "email", "value": "a", "rank": 1}, {"system": "fax"}]
    assert list(contacts_in({"telecom": telecom})) == [("email", "a"), ("email", "b")]
