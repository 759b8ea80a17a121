"""In which form a client wants its answer: by Accept, `_format`, `_summary` and the like (FHIR R4, 3.1.0.1.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fhir_server.errors import Invalid, Issue
from fhir_server.rest.failure import NotAcceptable, UnknownMediaType

Format = Literal["json", "xml"]

JSON = b"application/fhir+json"
XML = b"application/fhir+xml"
WRITTEN: dict[Format, bytes] = {"json": JSON, "xml": XML}

FORMATS: dict[str, Format] = {
    "application/fhir+json": "json",
    "application/json": "json",
    "application/json+fhir": "json",
    "text/json": "json",
    "json": "json",
    "application/fhir+xml": "xml",
    "application/xml": "xml",
    "application/xml+fhir": "xml",
    "text/xml": "xml",
    "xml": "xml",
}
WILDCARDS = frozenset({"*/*", "application/*", "*"})
SUMMARIES = frozenset({"true", "text", "data", "count", "false"})
CHOICE = "This server writes application/fhir+json and application/fhir+xml, by the header Accept or by _format."
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Representation:
    """The form of an answer. `native` says that the client named no FHIR format: a Binary is sent as it is."""

    format: Format = "json"
    pretty: bool = False
    summary: str = "false"
    elements: tuple[str, ...] = ()
    native: bool = False

    @property
    def is_part(self) -> bool:
        """Whether only some elements are wanted."""
        return bool(self.elements) or self.summary not in ("false", "count")


AS_STORED = Representation()
AS_STORED_OR_NATIVE = Representation(native=True)


def accepted(accept: bytes | None) -> Representation:
    """Return the form that the header Accept asks for; raise NotAcceptable when there is none such."""
    if accept is None:
        return AS_STORED_OR_NATIVE
    return _accepted(accept) if len(accept) <= _LONGEST else _accepted.__wrapped__(accept)


def accepted_or_native(accept: bytes | None) -> Representation:
    """Return the same for what has a format of its own, in which it is sent where no FHIR format is asked for."""
    try:
        return accepted(accept)
    except NotAcceptable:
        return AS_STORED_OR_NATIVE


def with_parameters(form: Representation, pairs: Sequence[tuple[str, str]], *, native: bool = False) -> Representation:
    """Return the form with what the query asks for on top; raise NotAcceptable or Invalid.

    For what is `native`, a `_format` that is no FHIR format is its own.
    """
    values = {name: value for name, value in pairs if name in ("_format", "_pretty", "_summary")}
    elements = tuple(
        name for key, value in pairs if key == "_elements" for part in value.split(",") if (name := part.strip())
    )
    if not values and not elements:
        return form
    kind, is_native = form.format, form.native
    if "_format" in values:
        asked = values["_format"].partition(";")[0].strip().replace(" ", "+").lower()
        if asked in FORMATS:
            kind, is_native = FORMATS[asked], False
        elif not native:
            raise NotAcceptable(f"_format={values['_format'][:80]} is no format that this server writes. {CHOICE}")
    summary = values.get("_summary", "false")
    if summary not in SUMMARIES:
        text = f"_summary is true, text, data, count or false, not {summary[:80]!r}."
        raise Invalid(Issue("error", "value", text, ("http._summary",)))
    if elements and summary not in ("false", "count"):
        text = "_summary and _elements exclude each other: ask for one of them."
        raise Invalid(Issue("error", "invalid", text, ("http._summary", "http._elements")))
    return Representation(kind, values.get("_pretty") == "true", summary, elements, is_native)


def format_of(content_type: bytes | None) -> Format | None:
    """Return the format that a body is announced in, None where nothing is; raise UnknownMediaType for others."""
    return None if content_type is None else _format_of(content_type[:_LONGEST])


def media_type_of(content_type: bytes | None) -> str:
    """Return the media type in the header Content-Type, without its parameters and in lower case."""
    return "" if content_type is None else content_type.decode("latin-1").partition(";")[0].strip().lower()


@lru_cache(maxsize=256)
def _accepted(accept: bytes) -> Representation:
    ranges = sorted(map(_range, accept.decode("latin-1").split(",")), key=lambda each: -each[1])
    for name, quality, version in ranges:
        if quality <= 0 or version not in ("", "4.0", "4.0.1"):
            continue
        if name in FORMATS:
            return Representation(FORMATS[name])
        if name in WILDCARDS:
            return AS_STORED_OR_NATIVE
    raise NotAcceptable(f"Accept: {accept.decode('latin-1')[:80]} names no format that this server writes. {CHOICE}")


def _range(text: str) -> tuple[str, float, str]:
    name, *parameters = (part.strip() for part in text.split(";"))
    values = {key.strip().lower(): value.strip(' "') for key, _, value in (each.partition("=") for each in parameters)}
    try:
        quality = float(values.get("q", "1"))
    except ValueError:
        quality = 0.0
    return name.lower(), quality, values.get("fhirversion", "")


@lru_cache(maxsize=256)
def _format_of(content_type: bytes) -> Format:
    name, *parameters = (part.strip() for part in content_type.decode("latin-1").lower().split(";"))
    if name not in FORMATS or "/" not in name:
        wanted = "Send Content-Type: application/fhir+json or application/fhir+xml."
        raise UnknownMediaType(f"A resource cannot be sent as {name[:80] or 'nothing'}. {wanted}")
    for key, _, value in (each.partition("=") for each in parameters):
        if key.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8", "us-ascii"):
            raise UnknownMediaType(f"The body must be in UTF-8, not in {value.strip()[:40]}.")
        if key.strip() == "fhirversion" and value.strip(' "') not in ("4.0", "4.0.1"):
            raise UnknownMediaType(f"This server speaks FHIR 4.0.1, not {value.strip()[:40]}.")
    return FORMATS[name]
