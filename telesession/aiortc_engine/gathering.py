"""The sockets of connections: on chosen addresses and ports, deaf to what is not STUN, DTLS or SRTP (RFC 7983)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol

from telesession.aiortc_engine.link import Link

MOST_WAITING = 256
"""Datagrams of DTLS that may wait for aiortc: an honest handshake has a dozen."""
SOCKET_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Ports:
    """Where connections listen: addresses (all of the machine when empty), a range of ports (any when 0)."""

    addresses: tuple[str, ...] = ()
    first: int = 0
    last: int = 0


class MediaProtocol(StunProtocol):
    """A socket of a connection: hands SRTP to its link at once, the rest to ICE and DTLS."""

    link: Link | None = None

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Take a datagram, from anybody: what cannot be understood is dropped."""
        if not isinstance(data, bytes) or len(data) < 12 or self.link is None:
            return
        first = data[0]
        if 127 < first < 192:
            self.link.datagram(data)
        elif first < 4:
            self._stun(data, addr)
        elif 19 < first < 64 and self.receiver._queue.qsize() < MOST_WAITING:  # noqa: SLF001 -- it has no bound of its own
            self.receiver.data_received(data, self.local_candidate.component)

    def _stun(self, data: bytes, addr: tuple[Any, ...]) -> None:
        pair = self.receiver._nominated.get(1)  # noqa: SLF001
        if pair is not None and self.link is not None and pair.remote_addr == addr[:2]:
            self.link.touch()
        try:
            super().datagram_received(data, addr)
        except Exception:  # noqa: BLE001 -- anybody can send anything here, and nothing of it may end the connection
            return


def listen_at(connection: Connection, link: Link, ports: Ports, random: Random) -> None:
    """Have an ICE connection gather candidates on sockets of ours."""

    async def gather(component: int, addresses: Sequence[str], timeout: int = 5) -> list[Candidate]:  # noqa: ASYNC109
        made = []
        for address in ports.addresses or addresses:
            protocol = await _bound(connection, address, ports, random)
            if protocol is not None:
                protocol.link = link
                protocol.local_candidate = _candidate(component, protocol)
                connection._protocols.append(protocol)  # noqa: SLF001 -- what ICE sends from and closes
                made.append(protocol.local_candidate)
        return made

    connection.get_component_candidates = gather  # type: ignore[method-assign]


async def _bound(connection: Connection, address: str, ports: Ports, random: Random) -> MediaProtocol | None:
    loop = asyncio.get_running_loop()
    choices = [0]
    if ports.first:
        span = range(ports.first, ports.last + 1)
        choices = random.sample(span, min(len(span), 50))
    for port in choices:
        try:
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: MediaProtocol(connection), local_addr=(address, port)
            )
        except OSError:
            continue
        own = transport.get_extra_info("socket")
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            own.setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)
        return protocol
    return None


def _candidate(component: int, protocol: StunProtocol) -> Candidate:
    host, port = protocol.transport.get_extra_info("sockname")[:2]
    return Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host"),
        host=host,
        port=port,
        type="host",
    )
