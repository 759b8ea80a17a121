"""The formats in which a resource comes: JSON, XML, and NDJSON for many (FHIR R4, 2.6 Resource Formats)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Issue
from fhir_server.resource.exact import parse_exact
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits, parse, repeated_members
from fhir_server.xml_format import read_xml

BEFORE_MARKUP = b"\xef\xbb\xbf \t\r\n"


@dataclass(frozen=True, slots=True)
class Received:
    """A resource as JSON, and what was wrong with its text although it could be read."""

    body: dict[str, Any]
    issues: tuple[Issue, ...] = ()


def receive(raw: bytes, definitions: Definitions, limits: Limits = STANDARD_LIMITS) -> Received:
    """Return the resource in JSON or XML text; raise Invalid or TooLarge for a text that is none."""
    if is_xml(raw):
        return Received(*read_xml(raw, definitions, limits))
    body = parse(raw, limits)
    return Received(body, repeated_members(raw, body))


def receive_exact(raw: bytes, definitions: Definitions, limits: Limits = STANDARD_LIMITS) -> dict[str, Any]:
    """Return the resource in JSON or XML text with its decimals as they were written; raise Invalid or TooLarge."""
    return read_xml(raw, definitions, limits)[0] if is_xml(raw) else parse_exact(raw, limits)


def is_xml(raw: bytes) -> bool:
    """Whether a text is XML, by its first character."""
    return raw.lstrip(BEFORE_MARKUP).startswith(b"<")


def numbered_lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and text of each line of NDJSON that is not blank."""
    for number, line in enumerate(raw.splitlines(), 1):
        if line.strip():
            yield number, line
