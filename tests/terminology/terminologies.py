"""Small code systems and value sets for tests."""

from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.protocol import Expansion

BASE = "http://example.org"


def code_system(name: str, *concepts: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """A complete code system that tells upper from lower case."""
    listed = [{"code": c, "display": c.upper()} if isinstance(c, str) else c for c in concepts]
    head = {"resourceType": "CodeSystem", "url": f"{BASE}/cs/{name}", "content": "complete", "caseSensitive": True}
    return head | {"concept": listed} | more


def value_set(
    name: str, *include: dict[str, Any], exclude: tuple[dict[str, Any], ...] = (), **more: Any
) -> dict[str, Any]:
    """A value set with these includes."""
    compose: dict[str, Any] = {"include": list(include)}
    if exclude:
        compose["exclude"] = list(exclude)
    return {"resourceType": "ValueSet", "url": vs(name), "name": name, "compose": compose} | more


def system(name: str, *codes: str, **more: Any) -> dict[str, Any]:
    """An include of a system, of its codes where any are named."""
    listed = {"concept": [{"code": code} for code in codes]} if codes else {}
    return {"system": cs(name)} | listed | more


def where(name: str, prop: str, op: str, value: str) -> dict[str, Any]:
    """An include of a system with one filter."""
    return system(name, filter=[{"property": prop, "op": op, "value": value}])


def cs(name: str) -> str:
    """The canonical of a code system."""
    return f"{BASE}/cs/{name}"


def vs(name: str) -> str:
    """The canonical of a value set."""
    return f"{BASE}/vs/{name}"


def terminology(*resources: dict[str, Any]) -> LocalTerminology:
    """A terminology that knows these resources alone."""
    definitions = Definitions()
    for resource in resources:
        definitions.add(resource)
    return LocalTerminology(definitions)


def codes(known: LocalTerminology, name: str) -> list[str]:
    """The codes of the expansion of a value set, in order."""
    return [entry.code for entry in expanded(known, name).entries]


def expanded(known: LocalTerminology, name: str) -> Expansion:
    """The expansion of a value set."""
    expansion = known.expand(vs(name))
    assert expansion is not None
    return expansion
