"""Code systems that packages name without listing: judged by a short table or by their rules of writing.

FHIR R4, 4.3 Using Codes: BCP 47 languages, BCP 13 media types, ISO 4217, ISO 3166, UCUM, IANA time zones, URIs;
SNOMED CT and LOINC codes by form and check digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from zoneinfo import available_timezones

from fhir_server import ucum
from fhir_server.terminology.iso_code import (
    COUNTRIES_ALPHA_2,
    COUNTRIES_ALPHA_3,
    COUNTRIES_NUMERIC,
    CURRENCIES,
    LANGUAGES_ALPHA_2,
    words,
)

Judge = Callable[[str], bool | None]

ROOM_FOR_ANSWERS = 4096

LANGUAGE_TAG = re.compile(  # RFC 5646, 2.1: langtag, or private use alone
    r"(?P<language>[a-z]{2,3}(-[a-z]{3}){0,3}|[a-z]{4,8})"
    r"(-[a-z]{4})?"
    r"(-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(-[0-9a-wy-z](-[a-z0-9]{2,8})+)*"
    r"(-x(-[a-z0-9]{1,8})+)?"
    r"|x(-[a-z0-9]{1,8})+",
    re.IGNORECASE | re.ASCII,
)
GRANDFATHERED = words(
    """
    art-lojban cel-gaulish en-gb-oed i-ami i-bnn i-default i-enochian i-hak i-klingon i-lux i-mingo i-navajo i-pwn
    i-tao i-tay i-tsu no-bok no-nyn sgn-be-fr sgn-be-nl sgn-ch-de zh-guoyu zh-hakka zh-min zh-min-nan zh-xiang
    """
)
OTHER_REGIONS = frozenset({"AC", "CP", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"})
OLD_LANGUAGES = frozenset({"bh", "in", "iw", "ji", "jw", "mo", "sh"})
MEDIA_TYPE = re.compile(  # RFC 6838, 4.2, with parameters of RFC 2045, 5.1
    r"(?P<top>[a-z0-9][a-z0-9!#$&^_.+-]{0,126})/[a-z0-9*][a-z0-9!#$&^_.+-]{0,126}"
    r"(\s*;\s*[a-z0-9!#$%&'*+.^_`|~-]+=([a-z0-9!#$%&'*+.^_`|~/:-]+|\"[^\"]*\"))*",
    re.IGNORECASE | re.ASCII,
)
TOP_LEVEL_TYPES = words("application audio chemical example font haptics image message model multipart text video")
FHIR_FORMATS = frozenset({"json", "xml", "ttl"})
SNOMED_CODE = re.compile(r"[1-9][0-9]{5,17}", re.ASCII)
LOINC_CODE = re.compile(r"(?P<number>[0-9]{1,7})-(?P<check>[0-9])|(LA|LG|LL|LP)[0-9]+-[0-9]|MTHU[0-9]+", re.ASCII)
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE | re.ASCII)
VERHOEFF_PRODUCT = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
VERHOEFF_PLACE = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


@lru_cache(ROOM_FOR_ANSWERS)
def is_language(code: str) -> bool:
    """True for a language tag whose two-letter parts are in the ISO tables; longer parts are judged by form."""
    found = LANGUAGE_TAG.fullmatch(code)
    if found is None:
        return code.lower() in GRANDFATHERED
    language, region = (found["language"] or "")[:3].lower().rstrip("-"), (found["region"] or "").upper()
    if len(language) == 2 and language not in LANGUAGES_ALPHA_2 and language not in OLD_LANGUAGES:
        return False
    return len(region) != 2 or region in COUNTRIES_ALPHA_2 or region in OTHER_REGIONS


@lru_cache(ROOM_FOR_ANSWERS)
def is_media_type(code: str) -> bool | None:
    """True for `type/subtype` with a registered or private top level.

    FHIR's own short names cannot be told: CapabilityStatement.format has them under the same binding. Nor can a right
    type with parameters that are not written as they should be, as DICOM's own tables have them.
    """
    found = MEDIA_TYPE.fullmatch(code)
    if found is None:
        loose = code in FHIR_FORMATS or MEDIA_TYPE.fullmatch(code.partition(";")[0].rstrip())
        return None if loose else False
    top = found["top"].lower()
    return top in TOP_LEVEL_TYPES or top.startswith("x-")


def is_country(code: str) -> bool:
    """True for a country by its letters or its number."""
    return code in COUNTRIES_ALPHA_2 or code in COUNTRIES_ALPHA_3 or code in COUNTRIES_NUMERIC


def is_subdivision(code: str) -> bool | None:
    """False for what no country's subdivision can be called; the subdivisions themselves are not listed."""
    country, dash, rest = code.partition("-")
    if country in COUNTRIES_ALPHA_2 and dash and re.fullmatch("[A-Z0-9]{1,3}", rest):
        return None
    return False


@cache
def time_zones() -> frozenset[str]:
    """The names of the time zones that this machine knows."""
    return frozenset(available_timezones())


def is_time_zone(code: str) -> bool | None:
    """True for the name of a time zone; None where the machine has no list of them."""
    return code in time_zones() if time_zones() else None


def is_uri(code: str) -> bool:
    """True for an absolute URI."""
    return URI.fullmatch(code) is not None


def verhoeff_holds(digits: str) -> bool:
    """True when the last digit is the check digit of SNOMED CT identifiers."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(VERHOEFF_PRODUCT[check][int(VERHOEFF_PLACE[place % 8][int(digit)])])
    return check == 0


def is_snomed_form(code: str) -> bool:
    """True for a concept identifier with a right check digit, or for an expression, whose grammar is not looked at."""
    if any(mark in code for mark in ":=+|{"):
        return SNOMED_CODE.match(code.lstrip("= <({")) is not None
    return SNOMED_CODE.fullmatch(code) is not None and verhoeff_holds(code)


def mod10_holds(digits: str, check: str) -> bool:
    """True when `check` is the Luhn check digit of the digits."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += sum(divmod(int(digit) * (1 if place % 2 else 2), 10))
    return (10 - total % 10) % 10 == int(check)


def is_loinc_form(code: str) -> bool:
    """True for a LOINC term with a right check digit, or for the form of a part, answer, list or group."""
    found = LOINC_CODE.fullmatch(code)
    return found is not None and (found["number"] is None or mod10_holds(found["number"], found["check"]))


JUDGES: Mapping[str, Judge] = {
    "http://unitsofmeasure.org": ucum.is_valid,
    "urn:ietf:bcp:47": is_language,
    "urn:ietf:bcp:13": is_media_type,
    "urn:iso:std:iso:4217": CURRENCIES.__contains__,
    "urn:iso:std:iso:3166": is_country,
    "urn:iso:std:iso:3166:-2": is_subdivision,
    "https://www.iana.org/time-zones": is_time_zone,
    "urn:ietf:rfc:3986": is_uri,
}

FORMS: Mapping[str, Callable[[str], bool]] = {
    "http://snomed.info/sct": is_snomed_form,
    "http://loinc.org": is_loinc_form,
}


def is_national_identifier(code: str) -> bool:
    """True for `NN` and a country's three letters, which table 0203 writes as NNxxx."""
    return code.startswith("NN") and code[2:] in COUNTRIES_ALPHA_3


FURTHER_CODES: Mapping[str, Callable[[str], bool]] = {
    "http://terminology.hl7.org/CodeSystem/v2-0203": is_national_identifier,
}
