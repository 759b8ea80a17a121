"""Random patients and random JSON: what the tests of fhir_server.patch stand on."""

import json
from typing import Any

from hypothesis import strategies as st

from fhir_server.resource.exact import SpelledDecimal

WORDS = st.sampled_from(["a", "b", "Ngọc", "~1/0", "é \n", "'\"", "-", "0"])
DATES = st.sampled_from(["1980", "1980-05", "1980-05-17"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["1.10", "1.1", "1E2"]).map(SpelledDecimal), WORDS
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=8
)


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with at least one of these members."""
    return st.fixed_dictionaries({}, optional=members).filter(bool)


def listed(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, min_size=1, max_size=3)


EXTENSIONS = listed(st.fixed_dictionaries({"url": st.just("http://x"), "valueString": WORDS}))
PERIODS = some(start=DATES, end=DATES)
NAMES = some(use=st.just("official"), family=WORDS, given=listed(WORDS), period=PERIODS)
IDENTIFIERS = some(system=st.just("http://a"), value=WORDS, period=PERIODS)
CONTACTS = some(name=NAMES, gender=st.just("male"), relationship=listed(some(text=WORDS)))
CHOICES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.booleans().map(lambda value: {"deceasedBoolean": value}),
    DATES.map(lambda value: {"deceasedDateTime": value}),
)
ELEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "extension": EXTENSIONS,
        "identifier": listed(IDENTIFIERS),
        "active": st.booleans(),
        "name": listed(NAMES),
        "birthDate": DATES,
        "_birthDate": st.fixed_dictionaries({"extension": EXTENSIONS}),
        "maritalStatus": some(text=WORDS),
        "contact": listed(CONTACTS),
    },
)


@st.composite
def patients(draw: st.DrawFn) -> dict[str, Any]:
    """A patient with one id, its elements in any order."""
    elements = draw(ELEMENTS) | draw(CHOICES)
    order = draw(st.permutations(list(elements)))
    return {"resourceType": "Patient", "id": "p"} | {key: elements[key] for key in order}


def part(name: str, **content: Any) -> dict[str, Any]:
    return {"name": name, **content}


def operation(kind: str, path: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """One operation of a FHIRPath Patch."""
    head = [part("type", valueCode=kind), part("path", valueString=path)]
    return {"name": "operation", "part": [*head, *parts]}


def parameters(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()
