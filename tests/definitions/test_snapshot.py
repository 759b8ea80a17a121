from dataclasses import replace

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.definitions.snapshot import SnapshotFault
from fhir_server.definitions.structure import TYPE_URL, Binding, TypedValue
from tests.conformance.snapshots import UNEQUAL_PROFILES, UNEQUAL_TYPES, run
from tests.definitions.profiles import at, codes, generated, loaded, profile, slicing_of, snapshot, structure_of, url


@pytest.mark.shared
def test_the_snapshots_of_the_core_come_out_as_published(shared):
    results = run(shared)
    assert len(results) == 442 + 208
    assert {r.name for r in results if not r.passed} == UNEQUAL_PROFILES.keys() | UNEQUAL_TYPES.keys()


def test_what_the_differential_does_not_say_stays_as_in_the_base():
    elements = snapshot(profile("p", "Patient", at("Patient.birthDate", min=1, mustSupport=True)))
    base = {element.id: element for element in structure_of(r4(), f"{TYPE_URL}Patient").elements}
    assert list(elements) == list(base)
    assert elements["Patient.birthDate"] == replace(base["Patient.birthDate"], min=1, must_support=True)
    assert all(elements[name] == base[name] for name in base if name != "Patient.birthDate")


def test_cardinality_binding_value_and_constraints_are_merged():
    rule = {"key": "p-1", "severity": "error", "human": "-", "expression": "true"}
    binding = {"strength": "required", "valueSet": "http://example.org/vs"}
    elements = snapshot(
        profile(
            "p",
            "Patient",
            at("Patient", constraint=[rule]),
            at("Patient.name", min=1, max="2"),
            at("Patient.gender", binding={"strength": "extensible"}),
            at("Patient.maritalStatus", binding=binding),
            at("Patient.active", fixedBoolean=True),
        )
    )
    assert (elements["Patient.name"].min, elements["Patient.name"].max) == (1, 2)
    genders = "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1"
    assert elements["Patient.gender"].binding == Binding("extensible", genders)
    assert elements["Patient.maritalStatus"].binding == Binding("required", "http://example.org/vs")
    assert elements["Patient.active"].fixed == TypedValue("boolean", value=True)
    keys = [constraint.key for constraint in elements["Patient"].constraints]
    assert keys == ["dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "p-1"]
    assert elements["Patient"].constraints[-1].source == url("p")


def test_a_path_into_a_datatype_unfolds_it():
    elements = snapshot(profile("p", "Patient", at("Patient.name.family", min=1)))
    below = [name for name in elements if name.startswith("Patient.name.")]
    assert below == [f"Patient.name.{n}" for n in "id extension use text family given prefix suffix period".split()]
    assert elements["Patient.name.family"].min == 1


def test_a_path_into_a_primitive_unfolds_it():
    elements = snapshot(profile("p", "Patient", at("Patient.birthDate.extension", min=1)))
    assert elements["Patient.birthDate.extension"].min == 1


def test_a_path_into_a_content_reference_unfolds_what_it_refers_to():
    elements = snapshot(profile("p", "Observation", at("Observation.component.referenceRange.low", min=1)))
    unfolded = elements["Observation.component.referenceRange"]
    assert (unfolded.content_reference, codes(unfolded)) == (None, ["BackboneElement"])
    assert elements["Observation.component.referenceRange.low"].min == 1
    assert elements["Observation.referenceRange.low"].min == 0


def test_a_path_into_a_profiled_type_unfolds_the_profile():
    named = profile("name", "HumanName", at("HumanName.family", min=1))
    typed = [{"code": "HumanName", "profile": [url("name")]}]
    elements = snapshot(named, profile("p", "Patient", at("Patient.name", type=typed), at("Patient.name.given", min=1)))
    assert elements["Patient.name.family"].min == 1
    assert elements["Patient.name.given"].min == 1


def test_a_path_into_a_choice_of_several_types_reaches_what_all_have():
    made = generated(profile("p", "Observation", at("Observation.value[x].extension", min=1)))
    assert not made.issues
    assert next(e for e in made.elements if e.id == "Observation.value[x].extension").min == 1


def test_a_slice_starts_from_the_unsliced_element():
    by_system = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
    elements = snapshot(
        profile(
            "p",
            "Patient",
            at("Patient.identifier", slicing=by_system, min=1),
            at("Patient.identifier.use", min=1),
            at("Patient.identifier:cccd", max="1"),
            at("Patient.identifier:cccd.system", fixedUri="http://example.org/cccd"),
        )
    )
    made = elements["Patient.identifier:cccd"]
    assert (made.min, made.max, made.slicing, codes(made)) == (0, 1, None, ["Identifier"])
    assert elements["Patient.identifier:cccd.use"].min == 1
    assert elements["Patient.identifier:cccd.system"].fixed == TypedValue("uri", "http://example.org/cccd")
    assert elements["Patient.identifier.system"].fixed is None
    assert list(elements).index("Patient.identifier:cccd") == list(elements).index("Patient.identifier.assigner") + 1


def test_a_slice_of_a_backbone_has_its_elements():
    by_code = {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}
    elements = snapshot(
        profile("p", "Observation", at("Observation.component", slicing=by_code), at("Observation.component:a"))
    )
    whole = [name.removeprefix("Observation.component.") for name in elements if "component." in name]
    sliced = [name.removeprefix("Observation.component:a.") for name in elements if "component:a." in name]
    assert sliced == whole


def test_a_slice_can_be_sliced_again():
    first = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
    again = {"discriminator": [{"type": "value", "path": "use"}], "rules": "closed"}
    elements = snapshot(
        profile("p", "Patient", at("Patient.telecom", slicing=first), at("Patient.telecom:phone", min=1)),
        profile(
            "q",
            "Patient",
            at("Patient.telecom:phone", slicing=again),
            at("Patient.telecom:phone/home", max="1"),
            at("Patient.telecom:phone/home.use", fixedCode="home"),
            base=url("p"),
        ),
    )
    names = [name for name in elements if name.startswith("Patient.telecom") and "." not in name[8:]]
    assert names == ["Patient.telecom", "Patient.telecom:phone", "Patient.telecom:phone/home"]
    assert slicing_of(elements["Patient.telecom:phone"]).rules == "closed"
    assert elements["Patient.telecom:phone/home.use"].fixed == TypedValue("code", "home")


def test_extensions_are_sliced_by_url_without_saying_so():
    definition = profile("x", "Extension", at("Extension", max="1"), at("Extension.url", fixedUri=url("x")))
    typed = [{"code": "Extension", "profile": [url("x")]}]
    elements = snapshot(definition, profile("p", "Patient", at("Patient.extension:x", min=1, type=typed)))
    slicing = slicing_of(elements["Patient.extension"])
    assert [(d.type, d.path) for d in slicing.discriminators] == [("value", "url")]
    assert (elements["Patient.extension:x"].min, elements["Patient.extension:x"].max) == (1, 1)


def test_a_path_into_an_extension_slice_unfolds_its_definition():
    definition = profile("x", "Extension", at("Extension.url", fixedUri=url("x")), at("Extension.value[x]", min=1))
    typed = [{"code": "Extension", "profile": [url("x")]}]
    elements = snapshot(
        definition,
        profile("p", "Patient", at("Patient.extension:x", type=typed), at("Patient.extension:x.value[x]", max="1")),
    )
    assert elements["Patient.extension:x.url"].fixed == TypedValue("uri", url("x"))
    assert elements["Patient.extension:x.value[x]"].min == 1


def test_a_short_path_binds_a_choice_to_its_type():
    elements = snapshot(profile("p", "Observation", at("Observation.valueQuantity.unit", min=1)))
    assert codes(elements["Observation.value[x]"]) == ["Quantity"]
    assert slicing_of(elements["Observation.value[x]"]).rules == "closed"
    assert elements["Observation.value[x]:valueQuantity"].slice_name == "valueQuantity"
    assert elements["Observation.value[x]:valueQuantity.unit"].min == 1


def test_several_short_paths_bind_a_choice_to_their_types():
    elements = snapshot(
        profile("p", "Observation", at("Observation.valueQuantity"), at("Observation.valueString", min=1))
    )
    assert codes(elements["Observation.value[x]"]) == ["Quantity", "string"]
    assert codes(elements["Observation.value[x]:valueString"]) == ["string"]


def test_a_choice_sliced_by_type_keeps_its_other_types():
    by_type = {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}
    elements = snapshot(
        profile(
            "p",
            "Observation",
            at("Observation.value[x]", slicing=by_type),
            at("Observation.value[x]:valueQuantity", min=1),
            at("Observation.value[x]:valueQuantity.code", min=1),
        )
    )
    assert len(codes(elements["Observation.value[x]"])) == 11
    assert codes(elements["Observation.value[x]:valueQuantity"]) == ["Quantity"]
    assert elements["Observation.value[x]:valueQuantity.code"].min == 1


def test_a_slice_name_without_slicing_is_another_name_of_the_element():
    elements = snapshot(profile("p", "Patient", at("Patient.maritalStatus:Status", min=1)))
    assert "Patient.maritalStatus" not in elements
    assert elements["Patient.maritalStatus:Status"].min == 1


def test_a_slice_that_states_its_value_is_told_apart_by_it():
    pattern = {"system": "http://loinc.org", "code": "1"}
    made = generated(profile("p", "Observation", at("Observation.code.coding:need", min=1, patternCoding=pattern)))
    elements = {element.id: element for element in made.elements}
    slicing = slicing_of(elements["Observation.code.coding"])
    assert [(d.type, d.path) for d in slicing.discriminators] == [("pattern", "$this")]
    assert elements["Observation.code.coding:need"].min == 1
    assert [issue.severity for issue in made.issues] == ["warning"]


def test_ids_may_be_missing():
    by_system = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
    stated = [
        at("Patient"),
        at("Patient.identifier", slicing=by_system),
        at("Patient.identifier:a", min=1),
        at("Patient.identifier:a.system", fixedUri="a"),
        at("Patient.identifier:b"),
        at("Patient.identifier:b.system", fixedUri="b"),
        at("Patient.identifier:b.period.start", min=1),
        at("Patient.active", min=1),
    ]
    bare = [{key: value for key, value in element.items() if key != "id"} for element in stated]
    assert snapshot(profile("p", "Patient", *bare)) == snapshot(profile("p", "Patient", *stated))


def test_a_base_without_snapshot_gets_one_first():
    elements = snapshot(
        profile("p", "Patient", at("Patient.active", min=1)),
        profile("q", "Patient", at("Patient.birthDate", min=1), base=url("p")),
        profile("r", "Patient", base=url("q")),
    )
    assert (elements["Patient.active"].min, elements["Patient.birthDate"].min) == (1, 1)


def test_definitions_give_a_structure_with_the_snapshot_made():
    definitions = loaded(profile("q", "Patient", base=url("p")))
    assert structure_of(definitions, url("q")).elements
    definitions.add(profile("p", "Patient", at("Patient.active", min=1)))
    elements = {element.id: element for element in structure_of(definitions, url("q")).elements}
    assert elements["Patient.active"].min == 1


def test_where_the_base_is_not_loaded_the_type_stands_in_with_a_warning():
    made = generated(profile("p", "Patient", at("Patient.active", min=1), base="http://example.org/missing"))
    assert [(issue.severity, issue.code) for issue in made.issues] == [("warning", "not-found")]
    assert "http://example.org/missing" in made.issues[0].text
    assert next(e for e in made.elements if e.id == "Patient.active").min == 1


def test_without_base_and_type_there_is_no_snapshot():
    body = profile("p", "Nothing", at("Nothing.a"), base="http://example.org/missing")
    with pytest.raises(SnapshotFault, match=r"example\.org/missing"):
        generated(body)
    assert structure_of(loaded(body), url("p")).elements == ()


def test_structures_that_derive_from_each_other_are_refused():
    first = profile("p", "Patient", base=url("q"))
    with pytest.raises(SnapshotFault, match="derive from each other"):
        generated(first, profile("q", "Patient", base=url("p")))


def test_profiles_that_use_each_other_are_no_ring():
    to_q, to_p = ({"code": "Reference", "targetProfile": [url(name)]} for name in "qp")
    made = generated(
        profile("p", "Patient", at("Patient.managingOrganization", type=[to_q])),
        profile("q", "Organization", at("Organization.partOf", type=[to_p])),
    )
    assert not made.issues


def test_a_path_that_is_not_in_the_base_is_told_and_the_rest_is_kept():
    made = generated(profile("p", "Patient", at("Patient.beard", min=1), at("Patient.active", min=1)))
    assert "Patient.beard" in made.issues[0].text
    assert made.issues[0].profile == url("p")
    assert next(e for e in made.elements if e.id == "Patient.active").min == 1


@pytest.mark.parametrize(
    ("place", "code"), [("Patient.name", "string"), ("Patient", "string"), ("Patient.id", "Quantity")]
)
def test_a_type_that_is_not_the_base_s_is_told_and_not_taken(place, code):
    made = generated(profile("p", "Patient", at(place, type=[{"code": code}], max="1")))
    base = {element.id: element for element in structure_of(r4(), f"{TYPE_URL}Patient").elements}
    assert ["cannot be of another type" in issue.text for issue in made.issues] == [True]
    assert next(e for e in made.elements if e.id == place) == replace(base[place], max=1)


def test_a_type_may_become_one_that_derives_from_it():
    elements = snapshot(profile("p", "Observation", at("Observation.component.value[x]", type=[{"code": "Age"}])))
    assert codes(elements["Observation.component.value[x]"]) == ["Age"]


def test_a_differential_that_doubles_itself_ends():
    parts = []
    for depth in range(30):
        path = "Extension" + ".extension" * (depth + 1)
        parts.append(at(path))
    for depth in range(30, 0, -1):
        path = "Extension" + ".extension" * depth
        parts += [at(f"{path}:{name}") for name in "abcd"]
    with pytest.raises(SnapshotFault, match="elements"):
        generated(profile("p", "Extension", *parts))


@pytest.mark.parametrize("path", [7, None, ["Patient"], {}])
def test_a_differential_that_cannot_be_read_is_a_fault_and_no_crash(path):
    body = profile("p", "Patient", {"id": "Patient.a", "path": path})
    with pytest.raises(SnapshotFault, match="cannot be read"):
        generated(body)
    assert structure_of(loaded(body), url("p")).elements == ()


def test_a_new_type_adds_elements_to_its_base():
    body = profile(
        "Thing",
        "Thing",
        at("Thing"),
        at("Thing.part", min=0, max="*", type=[{"code": "BackboneElement"}]),
        at("Thing.part.size", min=1, max="1", type=[{"code": "Quantity"}]),
        at("Thing.part.part", min=0, max="*", contentReference="#Thing.part"),
        base=f"{TYPE_URL}DomainResource",
        derivation="specialization",
        url=f"{TYPE_URL}Thing",
    ) | {"kind": "resource"}
    definitions = loaded(body)
    assert "Thing" in definitions.resource_types
    assert definitions.is_subtype("Thing", "Resource")
    thing, part = definitions.type("Thing"), definitions.type("Thing.part")
    assert {"id", "meta", "extension", "part"} <= thing.members.keys()
    assert {"id", "extension", "modifierExtension", "size", "part"} == part.members.keys()
    assert part.members["part"].type == "Thing.part"
    assert [c.key for c in part.members["size"].element.constraints] == ["ele-1"]
