"""Ways to make an official example wrong, each with the verdict that follows from how it is done.

Each takes a resource and a random choice, changes one place, and returns whether there was such a place. `BOTH` are
forbidden by R4 itself; `FULL` are wrong to a conformance tool, and a write takes them; `NONE` leave it right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import r4

Damage = Callable[[dict[str, Any], random.Random], bool]
CLOSED = "http://hl7.org/fhir/administrative-gender"
IMPOSSIBLE_DATES = ("2021-02-30", "2021-13-01", "01/02/2021", "2021-01-01T10:00:00")
UNSAFE = ("<script>x</script>", '<p onclick="x">x</p>', '<a href="javascript:x">x</a>', "<p>open", "&nope;")
REMOTE = ("snomed", "loinc", "rxnorm", "sid/", "cpt", "ndfrt")


@dataclass(frozen=True, slots=True)
class Place:
    """A member of an object within a resource; `index` is that of an item in an array."""

    holder: dict[str, Any]
    key: str
    index: int | None
    value: Any
    member: Member

    def put(self, value: Any) -> bool:
        """Set the value."""
        if self.index is None:
            self.holder[self.key] = value
        else:
            self.holder[self.key][self.index] = value
        return True


def places(value: dict[str, Any], kind: str) -> Iterator[Place]:
    """All members within an object that its type knows."""
    kind = value.get("resourceType", kind) if kind in ("", "Resource") else kind
    members = r4().type(kind).members
    for key, inner in list(value.items()):
        member = members.get(key)
        if member is None:
            continue
        for index, item in enumerate(inner) if isinstance(inner, list) else ((None, inner),):
            yield Place(value, key, index, item, member)
            if isinstance(item, dict):
                yield from places(item, member.type)


def chosen(body: dict[str, Any], rng: random.Random, wanted: Callable[[Place], bool]) -> Place | None:
    """One of the places that are wanted."""
    found = [place for place in places(body, "") if wanted(place)]
    return rng.choice(found) if found else None


# --- what R4 itself forbids ----------------------------------------------------------------------------------------


def unknown_member(body, rng):
    place = chosen(body, rng, lambda p: isinstance(p.value, dict))
    (place.value if place else body)["unheardOf"] = "x"
    return True


def missing_required(body, rng):
    place = chosen(body, rng, lambda p: p.member.min > 0 and p.key != "resourceType" and f"_{p.key}" not in p.holder)
    if place is not None:
        del place.holder[place.key]
    return place is not None


def object_for_text(body, rng):
    place = chosen(body, rng, lambda p: isinstance(p.value, str) and p.member.type == "string")
    return place is not None and place.put({"a": "b"})


def array_for_one(body, rng):
    place = chosen(body, rng, lambda p: not p.member.many and p.member.type != "xhtml")
    return place is not None and place.put([place.value])


def impossible_date(body, rng):
    place = chosen(body, rng, lambda p: p.member.type in {"date", "dateTime", "instant"} and isinstance(p.value, str))
    return place is not None and place.put(rng.choice(IMPOSSIBLE_DATES))


def code_outside_required_set(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "code" and is_closed(p.member) and isinstance(p.value, str))
    return place is not None and place.put("no-such-code")


def is_closed(member: Member) -> bool:
    binding = member.element.binding
    return binding is not None and binding.strength == "required" and is_listed(binding.value_set)


def is_listed(value_set: str) -> bool:
    return not any(word in value_set for word in ("mimetypes", "languages", "currencies", "all-types", "defined-types"))


def empty_object(body, rng):
    place = chosen(body, rng, lambda p: isinstance(p.value, dict) and p.index is None and p.member.key != "resource")
    return place is not None and place.put({})


def unsafe_narrative(body, rng):
    if not isinstance(body.get("text"), dict):
        return False
    body["text"]["div"] = f'<div xmlns="http://www.w3.org/1999/xhtml">{rng.choice(UNSAFE)}</div>'
    return True


def empty_narrative(body, rng):
    if not isinstance(body.get("text"), dict):
        return False
    body["text"]["div"] = '<div xmlns="http://www.w3.org/1999/xhtml"> <p/> </div>'
    return True


def reference_to_other_type(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "Reference" and narrow(p.member) and is_literal(p.value))
    if place is not None:
        place.value["reference"] = "OperationOutcome/1"
    return place is not None


def narrow(member: Member) -> bool:
    targets = member.reference.target_profiles
    return bool(targets) and not any(t.endswith(("/Resource", "/OperationOutcome")) for t in targets)


def is_literal(value: Any) -> bool:
    reference = value.get("reference") if isinstance(value, dict) else None
    return isinstance(reference, str) and not reference.startswith("#")


def missing_contained(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "Reference" and is_literal(p.value))
    if place is not None:
        place.value["reference"] = "#nowhere"
    return place is not None


def same_id_twice(body, rng):
    if body["resourceType"] == "StructureDefinition":  # a snapshot has the ids of the differential
        return False
    objects = [p.value for p in places(body, "") if isinstance(p.value, dict) and "resourceType" not in p.value]
    inner = [o for o in objects if not any(o is p.value for p in within_resources(body))]
    if len(inner) < 2:
        return False
    for one in rng.sample(inner, 2):
        one["id"] = "same"
    return True


def within_resources(body: dict[str, Any]) -> Iterator[Place]:
    """The places within resources that stand in the resource, which have ids of their own."""
    for place in places(body, ""):
        if place.member.type == "Resource" and isinstance(place.value, dict):
            yield from places(place.value, "Resource")


# --- what only full depth calls wrong ------------------------------------------------------------------------------


def added_unknown_code(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "CodeableConcept" and is_local(p.value))
    if place is not None:
        place.value.setdefault("coding", []).append({"system": CLOSED, "code": "no-such-code"})
    return place is not None


def is_local(value: Any) -> bool:
    """True for a concept of no system that is left to a terminology server."""
    codings = value.get("coding", []) if isinstance(value, dict) else None
    return codings is not None and not any(word in coding.get("system", "") for coding in codings for word in REMOTE)


def wrong_display(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "CodeableConcept" and is_local(p.value))
    if place is not None:
        place.value.setdefault("coding", []).append({"system": CLOSED, "code": "male", "display": "Manly"})
    return place is not None


def relative_canonical(body, rng):
    if body["resourceType"] == "StructureDefinition":  # has rules of its own for the canonicals in it
        return False
    place = chosen(body, rng, lambda p: p.member.type == "canonical" and isinstance(p.value, str))
    return place is not None and place.put("StructureDefinition/somewhere")


def relative_identifier_system(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "Identifier" and isinstance(p.value, dict))
    if place is not None:
        place.value["system"] = "hospital-numbers"
    return place is not None


def bad_oid(body, rng):
    place = chosen(body, rng, lambda p: p.member.element.path == "Identifier.system" and isinstance(p.value, str))
    return place is not None and place.put("urn:oid:1.02.3")


def stated_type_of_nothing(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "Reference" and narrow(p.member) and is_literal(p.value))
    if place is not None:
        place.value["type"] = "OperationOutcome"
    return place is not None


def block_in_text(body, rng):
    if not isinstance(body.get("text"), dict):
        return False
    body["text"]["div"] = '<div xmlns="http://www.w3.org/1999/xhtml"><p>a<ul><li>b</li></ul></p></div>'
    return True


# --- what leaves a resource right ----------------------------------------------------------------------------------


def unknown_extension(body, rng):
    place = chosen(body, rng, lambda p: isinstance(p.value, dict) and p.member.type not in {"Extension", "Resource"})
    holder = place.value if place else body
    holder.setdefault("extension", []).append({"url": "https://example.org/unheard-of", "valueString": "x"})
    return place is None or "extension" in r4().type(place.member.type).members or "resourceType" in holder


def other_text(body, rng):
    place = chosen(body, rng, lambda p: p.member.type == "string" and p.key in {"display", "text", "title"})
    if place is None or "code" in place.holder or "linkId" in place.holder:
        return False
    return place.put("Chẩn đoán khác")


def sound_narrative(body, rng):
    if "text" not in r4().type(body["resourceType"]).members:
        return False
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><table><tr><td>Mạch &amp; huyết áp</td></tr></table></div>'
    body["text"] = {"status": "generated", "div": div}
    return True


def label(body, rng):
    body.setdefault("meta", {}).setdefault("tag", []).append({"system": "https://example.org/tags", "code": "x"})
    return True


BOTH: Mapping[str, Damage] = {
    damage.__name__: damage
    for damage in (
        unknown_member, missing_required, object_for_text, array_for_one, impossible_date, code_outside_required_set,
        empty_object, unsafe_narrative, empty_narrative, reference_to_other_type, missing_contained, same_id_twice,
    )
}  # fmt: skip
FULL: Mapping[str, Damage] = {
    damage.__name__: damage
    for damage in (
        added_unknown_code, wrong_display, relative_canonical, relative_identifier_system, bad_oid,
        stated_type_of_nothing, block_in_text,
    )
}  # fmt: skip
NONE: Mapping[str, Damage] = {
    damage.__name__: damage for damage in (unknown_extension, other_text, sound_narrative, label)
}
