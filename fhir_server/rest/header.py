"""ETags and dates in headers (FHIR R4, 3.1.0.5 concurrency, 3.1.0.1.6 conditional read; RFC 9110, 8.8 and 13.1)."""

from __future__ import annotations

import re
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from fhir_server.errors import Invalid, Issue

ANY = "*"
_TAG = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)').fullmatch


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> bytes:
    """Return a moment as a date of HTTP."""
    return formatdate(seconds, usegmt=True).encode()


def etag(version: int) -> bytes:
    """Return the tag of a version."""
    return b'W/"%d"' % version


def versions_in(tags: str, header: str) -> tuple[int, ...] | str:
    """Return the versions that If-Match or If-None-Match names, or ANY; raise Invalid for what is no tag.

    A tag that this server never gave stands for version -1, which nothing has.
    """
    if tags.strip() == ANY:
        return ANY
    found = [_TAG(part.strip()) for part in tags.split(",")]
    texts = [part[1] if part[1] is not None else part[2] for part in found if part]
    if len(texts) != len(found):
        text = f'{header}: {tags[:80]} is no version tag, which looks like W/"3".'
        raise Invalid(Issue("error", "value", text))
    return tuple(version_number(text) for text in texts)


def version_number(text: str) -> int:
    """Return the number in a version id; -1, which no version has, for one that this server never gave."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 and text[0] != "0" else -1


def seconds_of(date: str) -> int | None:
    """Return the seconds since 1970 of a date of HTTP; None for what is no date, which RFC 9110 says to ignore."""
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
