"""Which FHIR types each type of search parameter reads, and how (FHIR R4, 3.1.1.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhir_server.search.leaf import Leaf, Write, Writers, lineage
from fhir_server.search.param_types import date, number, quantity, reference, special, string, token, uri
from fhir_server.search.parameters import Component

WRITERS: Mapping[str, Writers] = {
    "token": token.WRITERS,
    "string": string.WRITERS,
    "date": date.WRITERS,
    "number": number.WRITERS,
    "quantity": quantity.WRITERS,
    "reference": reference.WRITERS,
    "uri": uri.WRITERS,
    "special": special.WRITERS,
}


def writer(kind: str, leaf: Leaf) -> Write | None:
    """The writer of a type of parameter for a leaf's type or the nearest that it specialises.

    None when such a parameter cannot be matched by values of that type: a date by a string, a quantity by a date.
    """
    writers = WRITERS.get(kind, {})
    for name in lineage(leaf.context.definitions, leaf.type):
        if name in writers:
            return writers[name](leaf)
    return None


def readable_type(component: Component, others: Iterable[Component], leaves: Iterable[Leaf]) -> str:
    """The type of parameter that a component of a composite is read as.

    R4 gives DocumentReference.relationship's components each other's definitions: where the named parameter cannot
    read the elements, one that another component names may.
    """
    elements = list(leaves)
    kinds = [component.type, *(other.type for other in others)]
    return next((kind for kind in kinds if any(writer(kind, leaf) for leaf in elements)), component.type)
