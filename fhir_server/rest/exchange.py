"""One request and its answer as values, without a transport, and the rows of the route table (FHIR R4, 3.1.0)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.query_string import Pairs, pairs_in
from fhir_server.rest.preference import NO_PREFERENCE, Preference, read_preference
from fhir_server.rest.representation import AS_STORED, Representation
from fhir_server.store.protocol import Version

Takes = Literal["nothing", "resource", "bundle", "binary", "patch", "form"]
"""What the body of a request may be; it decides how long it may be and what its media type must be."""


class Exchange:
    """A request: its method, the steps of its path below the base, its query, headers and body.

    `base` is the server's base URL as the client knows it. The router fills in `type`, `id`, `version` and `related`,
    which are empty where the path has no such step. `sent` is the resource of a Bundle's entry, read already. `caller`
    is who asks, from the network `address` (host and port).
    """

    __slots__ = (
        "__dict__",
        "address",
        "base",
        "body",
        "caller",
        "headers",
        "id",
        "method",
        "path",
        "query",
        "related",
        "representation",
        "request_id",
        "sent",
        "type",
        "version",
    )

    def __init__(
        self,
        method: str,
        path: Sequence[str],
        *,
        query: str = "",
        headers: Mapping[bytes, bytes] | None = None,
        body: bytes = b"",
        base: str = "",
        request_id: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers or {}
        self.body = body
        self.base = base
        self.request_id = request_id
        self.type = self.id = self.version = self.related = ""
        self.sent: Sent | None = None
        self.caller: Caller = LOCAL
        self.address: tuple[str, int] | None = None
        self.representation: Representation = AS_STORED

    def header(self, name: bytes) -> str | None:
        """The value of a header, its name in lower case; None where it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def content(self) -> dict[str, Any] | None:
        """The resource of a Bundle's entry; None for a request of its own, whose `body` has yet to be read."""
        return None if self.sent is None else self.sent.body

    @property
    def preference(self) -> Preference:
        """What the header Prefer asks for."""
        value = self.headers.get(b"prefer")
        return NO_PREFERENCE if value is None else read_preference(value)

    @cached_property
    def pairs(self) -> Pairs:
        """The query's names and values, decoded; raise Invalid for what is not UTF-8."""
        return pairs_in(self.query)

    def values(self, name: str) -> list[str]:
        """The values of a parameter of the query."""
        return [value for key, value in self.pairs if key == name]


@dataclass(slots=True)
class Reply:
    """An answer: `body` is a resource in JSON, unless `media_type` says what else it is.

    `version` gives ETag and Last-Modified; `location` is a path below the base. `chunks`, where they are given, are
    sent as they come in the place of `body`, in the form that they have.
    """

    status: int
    body: bytes = b""
    version: Version | None = None
    location: str | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    media_type: bytes | None = None
    chunks: AsyncIterator[bytes] | None = None


Handler = Callable[[Any, Exchange], Awaitable[Reply]]
"""Answers an exchange; its first argument is the node that it works on."""


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the table of all FHIR URLs: routing, CapabilityStatement, limits, scopes and metrics read it.

    `interaction` is the code of the CapabilityStatement, or the name of an operation with its `definition`. A path is
    made of words and of `{type}`, `{id}`, `{version}`, `{related}`; `{type}` is a resource type of R4, or of `types`
    where they are given. `scope` holds the letters of SMART scopes (c, r, u, d, s) that it needs. `write` says what an
    exchange asks to be written: a transaction gathers that from its entries in place of calling their handlers. What is
    `native` has a format of its own, and is no FHIR format where the client asks for none.
    """

    interaction: str
    method: str
    path: str
    handler: Handler
    scope: str
    takes: Takes = "nothing"
    definition: str | None = None
    types: tuple[str, ...] = ()
    write: Callable[[Any, Exchange], Write] | None = None
    native: bool = False
