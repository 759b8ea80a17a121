"""Notices by other ways than the screen: what a sender promises, who gets what, and where senders are found."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import Protocol

from fhir_server.errors import NotFound
from fhir_server.extension import Listener, Surroundings
from fhir_server.resource.parsing import parse
from fhir_server.rest.node import Node
from telesession.following import Told
from telesession.gathering import NO_LIMITS, of_server
from telesession.notice import recipients_of
from telesession.vocabulary import NOTICE, Body, Json, code, objects

GROUP = "telesession.senders"
ATTEMPTS = 3
SUBJECT = "Nhịp Cầu: thông báo"
NOT_FOUND = frozenset({"Group", "HealthcareService", "Device"})

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Takes a short text to an address; of several addresses of one person, one is enough.

    `systems` are those of ContactPoint.system that it serves: email, sms, phone, url (such as a Zalo address), other.
    """

    systems: frozenset[str]

    async def send(self, address: str, subject: str, text: str) -> None:
        """Send; raise OSError where it did not go out."""
        ...


Make = Callable[[Surroundings], Sender | None]
"""Makes a sender; None where it is not set up."""


def installed(surroundings: Surroundings) -> list[Sender]:
    """The senders that are installed and set up, in the order of their names."""
    found = sorted(entry_points(group=GROUP), key=lambda each: each.name)
    made = [each.load()(surroundings) for each in found]
    return [each for each in made if each is not None]


class Post:
    """Sends each new notice to the addresses of its recipients; a failure of one never holds up the others."""

    def __init__(self, senders: Sequence[Sender]) -> None:
        self._senders = senders

    def listeners(self) -> tuple[Listener, ...]:
        """The row for the door of the server; none where nobody sends."""
        return (Listener("notices sent", self.hear),) if self._senders else ()

    async def hear(self, node: Node, versions: Sequence[Told]) -> None:
        """Send the notices among some versions."""
        for version in versions:
            if version.type == "Communication" and version.version == 1 and version.body is not None:
                body = parse(version.body, NO_LIMITS)
                if code(body.get("category"), NOTICE) is not None:
                    await self._send_all(node, body)

    async def _send_all(self, node: Node, communication: Body) -> None:
        text = next((str(each.get("contentString", "")) for each in objects(communication, "payload")), "")
        reached: set[str] = set()
        for path in sorted(recipients_of(communication)):
            contacts = list(contacts_in(await _found(node, path)))
            for sender in self._senders:
                address = next((value for system, value in contacts if system in sender.systems), "")
                if address and address not in reached:
                    reached.add(address)
                    await self._send(sender, address, text)

    async def _send(self, sender: Sender, address: str, text: str) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await sender.send(address, SUBJECT, text)
            except OSError as failure:
                if attempt == ATTEMPTS:
                    log.warning("a notice was not sent: %s", type(failure).__name__)
            else:
                return


async def _found(node: Node, path: str) -> Json:
    kind, _, resource_id = path.partition("/")
    if not resource_id or kind in NOT_FOUND:
        return {}
    try:
        version = await of_server(node).read(kind, resource_id)
    except NotFound:
        return {}
    return parse(version.body or b"", NO_LIMITS)


def contacts_in(body: Body) -> Iterator[tuple[str, str]]:
    """Yield the addresses of somebody as (system, value), the preferred ones first; old ones are left out."""
    listed = [each for each in objects(body, "telecom") if each.get("use") != "old"]
    for each in sorted(listed, key=lambda each: each.get("rank", 1_000_000)):
        if each.get("system") and each.get("value"):
            yield str(each["system"]), str(each["value"])
