"""Literal references and canonicals taken apart (FHIR R4, 2.3.0.1 literal references; 2.24.0.1 canonical)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

Kind = Literal["relative", "absolute", "fragment", "urn", "conditional", "other"]
_MEMO = 4096
_MEMO_LENGTH = 200

_ID = r"[A-Za-z0-9\-.]{1,64}"
_RESTFUL = re.compile(
    rf"(?:(?P<base>[A-Za-z][A-Za-z0-9+.\-]*://[^?#|\s]+)/)?(?P<type>[A-Z][A-Za-z]{{1,63}})/(?P<id>{_ID})"
    rf"(?:/_history/(?P<version>{_ID}))?(?:#(?P<fragment>\S*))?"
).fullmatch
_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]{1,63})\?(?P<query>\S+)").fullmatch
_URN = re.compile(r"urn:(?:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|oid:[0-2](?:\.[0-9]+)+)").fullmatch


class Reference(NamedTuple):
    """A literal reference by its parts; those that its kind does not have are None.

    | kind | text | parts |
    |---|---|---|
    | relative | `Patient/1/_history/2` | type, id, version |
    | absolute | `https://example.org/fhir/Patient/1` | base, type, id, version |
    | fragment | `#p1`; `#` means the container | fragment |
    | urn | `urn:uuid:...`, `urn:oid:...` | |
    | conditional | `Patient?identifier=a` | type, query |
    | other | any other text, often the URL of something that is no FHIR server's | |
    """

    text: str
    kind: Kind
    base: str | None = None
    type: str | None = None
    id: str | None = None
    version: str | None = None
    query: str | None = None
    fragment: str | None = None

    @property
    def path(self) -> str | None:
        """`Type/id` of what is referred to, without base and version; None where the text does not tell."""
        return f"{self.type}/{self.id}" if self.id is not None else None


@dataclass(frozen=True, slots=True)
class Canonical:
    """The URL of a definition, with the version and the part of it that are meant, where they are said."""

    url: str
    version: str | None = None
    fragment: str | None = None


def parse_reference(text: str) -> Reference:
    """Return the parts of a literal reference (`Reference.reference`). Any text has a kind, if only `other`."""
    # What is remembered is bounded in number and in length, since clients choose the texts.
    return _remembered_reference(text) if len(text) <= _MEMO_LENGTH else _reference(text)


def parse_canonical(text: str) -> Canonical:
    """Return the parts of `url|version#fragment`."""
    if "|" in text:
        url, _, rest = text.partition("|")
        version, _, fragment = rest.partition("#")
        return Canonical(url, version or None, fragment or None)
    url, _, fragment = text.partition("#")
    return Canonical(url, None, fragment or None)


def _reference(text: str) -> Reference:
    if text.startswith("#"):
        return Reference(text, "fragment", fragment=text[1:])
    if parts := _RESTFUL(text):
        base, kind, resource_id, version, fragment = parts.groups()
        return Reference(text, "absolute" if base else "relative", base, kind, resource_id, version, None, fragment)
    if parts := _CONDITIONAL(text):
        return Reference(text, "conditional", **parts.groupdict())
    return Reference(text, "urn" if _URN(text) else "other")


_remembered_reference = lru_cache(maxsize=_MEMO)(_reference)
