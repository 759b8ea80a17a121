"""What is recorded of a request, durably before it is answered (IHE Basic Audit Log Patterns; FHIR R4, 6.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.access.caller import LOCAL
from fhir_server.access.resource_class import CLASS_OF
from fhir_server.audit.account import CURRENT, Account
from fhir_server.resource.instant import Clock
from fhir_server.rest.exchange import Exchange, Reply, Route

Record = Callable[[Sequence[bytes]], Awaitable[None]]

KINDS: Mapping[str, str] = {
    "read": "R",
    "vread": "R",
    "history-instance": "R",
    "history-type": "Q",
    "history-system": "Q",
    "search-type": "Q",
    "search-system": "Q",
    "search-compartment": "Q",
    "create": "C",
    "update": "U",
    "patch": "U",
    "delete": "D",
}
"""The kind of record of an interaction; an operation is E."""

UNRECORDED = frozenset({"batch", "capabilities", "smart-configuration"})
"""What has no record of its own: the entries of a Bundle have theirs."""

OF_NOBODY = frozenset({"master", "definition"})
"""Classes of resources about no patient: reading them is not recorded."""


class Auditing:
    """Opens an account for each request of a caller, and records what came of it."""

    def __init__(self, record: Record, clock: Clock) -> None:
        self._record = record
        self._clock = clock

    def open(self, exchange: Exchange, *, inner: bool = False) -> Account | None:
        """An account of the exchange, the one that whatever works for it now finds; None for the server's own."""
        if exchange.caller is LOCAL:
            CURRENT.set(None)
            return None
        outer = CURRENT.get() if inner else None
        account = Account(exchange.caller, exchange.request_id, exchange.address or (), outer)
        CURRENT.set(account)
        return account

    def tell(self, account: Account, route: Route, exchange: Exchange, reply: Reply) -> None:
        """Enter what the exchange did, where that is to be recorded and not recorded with its writes."""
        interaction = route.interaction
        status = int(reply.status)
        failed = status >= 400
        if not failed and (interaction in UNRECORDED or account.is_told):
            return
        if not failed and not account.patients and CLASS_OF.get(exchange.type) in OF_NOBODY:
            return
        told: dict[str, Any] = {}
        version = reply.version
        if version is not None and not failed:
            told["e"] = (f"{version.type}/{version.id}/_history/{version.version}",)
        elif exchange.id:
            told["e"] = (f"{exchange.type}/{exchange.id}",)
        if exchange.query or not exchange.id:
            told["s"] = f"{'/'.join(exchange.path)}?{exchange.query}"
        if failed:
            told["o"], told["d"] = "8" if status >= 500 else "4", str(status)
        account.shown(int(self._clock() * 1000), KINDS.get(interaction, "E"), interaction, told)

    async def event(self, told: Mapping[str, Any]) -> None:
        """Record what authentication tells: who came in, was given a token, or was refused."""
        body = {
            "t": int(self._clock() * 1000),
            "k": told["kind"],
            "w": {"u": told["subject"], "c": told["client"]},
            "a": (told["address"], told["port"]),
            "d": told["text"],
            "o": "0" if told["succeeded"] else "4",
        }
        await self._record((orjson.dumps(body),))

    async def settle(self, account: Account) -> None:
        """Make what was entered durable; raise what the store does where it cannot."""
        if account.records:
            await self._record(account.records)
