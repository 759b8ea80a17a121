"""Which pages of other origins may call this server (the Fetch standard, 3.2 CORS protocol)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from fhir_server.rest.exchange import Exchange, Reply

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
SHOWN = b"accept-post, content-location, etag, last-modified, link, location, retry-after, x-request-id"
ALLOWED = (
    b"accept, authorization, content-type, if-match, if-modified-since, if-none-exist, if-none-match, prefer, "
    b"x-request-id"
)
SECONDS_REMEMBERED = b"86400"


class Cors:
    """Origins that may call: `*` for all, else each with `*` for any port or name part, and those of `also`."""

    def __init__(self, origins: Iterable[str], also: Callable[[str], bool] | None = None) -> None:
        self.also = also
        self._patterns = [re.compile(re.escape(origin).replace(r"\*", "[^/@]*")) for origin in origins]
        self.allows = lru_cache(maxsize=256)(self._allows)

    def _allows(self, origin: bytes) -> bool:
        return any(pattern.fullmatch(origin.decode("latin-1")) for pattern in self._patterns)

    def preflight(self, exchange: Exchange) -> Reply:
        """Answer what a browser asks before it calls."""
        headers = [
            (b"allow", METHODS),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", ALLOWED),
            (b"access-control-max-age", SECONDS_REMEMBERED),
        ]
        return Reply(204, headers=headers if b"origin" in exchange.headers else headers[:1])

    def allow(self, exchange: Exchange, headers: list[tuple[bytes, bytes]], *, to_all: bool = False) -> None:
        """Add what lets a page of an allowed origin (or of any) read the answer."""
        origin = exchange.headers.get(b"origin")
        if origin is None or len(origin) > 300:
            return
        headers.append((b"vary", b"origin"))
        if to_all or self.allows(origin) or (self.also is not None and self.also(origin.decode("latin-1"))):
            headers.append((b"access-control-allow-origin", origin))
            headers.append((b"access-control-expose-headers", SHOWN))
