import asyncio
import gzip

import pytest

from fhir_server.errors import Invalid, TooLarge
from fhir_server.rest.body import Disconnected, read_body, unpack
from fhir_server.rest.failure import TooSlow, UnknownMediaType


def body(*messages, limit=100, seconds=1.0, **headers):
    """The body that these messages of the server make; a number is a pause."""
    waiting = list(messages)

    async def receive():
        message = waiting.pop(0)
        if isinstance(message, float):
            await asyncio.sleep(message)
            message = waiting.pop(0)
        if message is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": message, "more_body": bool(waiting)}

    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return asyncio.run(read_body(receive, named, limit, seconds))


def test_a_body_comes_in_parts():
    assert body(b"whole") == b"whole"
    assert body(b"a", b"b", b"c") == b"abc"
    assert body(gzip.compress(b"a"), content_encoding=b"gzip") == b"a"
    assert body(b"a", content_encoding=b"identity") == b"a"


def test_too_much_is_refused_before_it_is_read():
    with pytest.raises(TooLarge):
        body(content_length=b"101")
    with pytest.raises(TooLarge):
        body(b"a" * 101)
    with pytest.raises(TooLarge):
        body(b"a" * 99, b"a" * 2, b"never read")


def test_what_does_not_come_is_not_waited_for():
    with pytest.raises(TooSlow):
        body(b"a", 1.0, b"b", seconds=0.01)
    with pytest.raises(Disconnected):
        body(None)
    with pytest.raises(Disconnected):
        body(b"a", None, b"b")


def test_a_packed_body_may_not_be_more_than_it_seems():
    assert unpack(gzip.compress(b"abc"), 10) == b"abc"
    with pytest.raises(TooLarge, match="10 bytes"):
        unpack(gzip.compress(b"a" * 11), 10)
    with pytest.raises(TooLarge, match="100 times"):
        unpack(gzip.compress(bytes(5_000_000)), 10_000_000)
    with pytest.raises(UnknownMediaType):
        unpack(gzip.compress(gzip.compress(b"a")), 1000)
    for broken in (b"", b"abc", gzip.compress(b"a")[:-1], gzip.compress(b"a") + b"b"):
        with pytest.raises(Invalid):
            unpack(broken, 1000)
