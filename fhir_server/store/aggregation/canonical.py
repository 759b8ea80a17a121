"""Joins along canonicals: what they name is looked up, and asked for by rows (FHIR R4, 2.3.0.2 canonical URLs)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fhir_server.errors import TooCostly
from fhir_server.search.plan import And, Or, Predicate, Row, Test
from fhir_server.store.aggregation.document import Document, rows_of

MOST_NAMES = 1000

Name = tuple[str, str]
"""A url and a version, empty where there is none."""


def held(number: int, beside: int | None = None, urls: Collection[str] | None = None) -> list[Document]:
    """The stages after a match that give each v of the rows of a number, with its x or the v of a row `beside`.

    With `urls`, only rows with such a v.
    """
    version = "$rows.x" if beside is None else "$beside"
    least = {"$map": {"input": rows_of(beside), "as": "r", "in": "$$r.v"}}
    shown: Document = {"rows": rows_of(number)}
    if beside is not None:
        shown["beside"] = {"$min": least}
    return [
        {"$project": shown},
        {"$unwind": "$rows"},
        *([{"$match": {"rows.v": {"$in": sorted(urls)}}}] if urls is not None else []),
        {"$group": {"_id": {"url": "$rows.v", "version": version}}},
        {"$limit": MOST_NAMES + 1},
    ]


def names(documents: Iterable[Document]) -> set[Name]:
    """The names that those stages found; TooCostly where they are too many to be asked for."""
    found = {(str(one["_id"]["url"]), str(one["_id"].get("version") or "")) for one in documents}
    if len(found) > MOST_NAMES:
        raise TooCostly(f"The chain leads over more than {MOST_NAMES:,} canonical URLs. Ask more closely.")
    return found


def has_case(version: str) -> bool:
    """Whether a version may be spelled in other ways."""
    return version.casefold() != version.upper()


def pointing(number: int, wanted: Collection[Name], spelled: Collection[Name]) -> Predicate:
    """What a resource holds that names one of the wanted; their versions are in casefold, `spelled` as resources do."""
    found = {(url, "") for url, _ in wanted} | {name for name in wanted if not has_case(name[1])}
    found |= {(url, version) for url, version in spelled if (url, version.casefold()) in wanted}
    versions: dict[str, list[str]] = {}
    for url, version in sorted(found):
        versions.setdefault(version, []).append(url)
    return Or(tuple(Row(number, (Test("v", "in", tuple(u)), Test("x", "=", x))) for x, u in versions.items()))


def meant(wanted: Collection[Name], url: int, version: int) -> Predicate:
    """What a resource holds that is meant by one of the wanted: its url, and the version where one is named."""
    versions: dict[str, list[str]] = {}
    for name, of in sorted(wanted):
        versions.setdefault(of.casefold(), []).append(name)
    ways: list[Predicate] = []
    for of, urls in versions.items():
        by_url = Row(url, (Test("v", "in", tuple(urls)),))
        ways.append(And((by_url, Row(version, (Test("v", "=", of),)))) if of else by_url)
    return Or(tuple(ways))
