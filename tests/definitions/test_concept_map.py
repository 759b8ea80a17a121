from fhir_server.definitions.concept_map import Dependency, Target, Unmapped, concept_map_from
from fhir_server.definitions.registry import Definitions, r4


def test_groups_give_the_targets_of_each_code():
    body = {"url": "m", "status": "active", "sourceUri": "a", "targetCanonical": "b", "group": [{
        "source": "s", "target": "t",
        "element": [
            {"code": "1", "target": [
                {"code": "x", "equivalence": "wider", "dependsOn": [{"property": "p", "value": "v"}]},
            ]},
            {"code": "1", "target": [{"equivalence": "unmatched"}]},
            {"code": "2"},
        ],
        "unmapped": {"mode": "fixed", "code": "u"},
    }]}  # fmt: skip
    read = concept_map_from(body)
    (group,) = read.groups
    assert (read.source, read.target, read.status) == ("a", "b", "active")
    assert group.elements["1"] == (
        Target("x", None, "wider", (Dependency("p", None, "v"),)),
        Target(None, None, "unmatched"),
    )
    assert group.elements["2"] == ()
    assert group.unmapped == Unmapped("fixed", "u")


def test_the_maps_of_the_core_are_there():
    found = r4().concept_map("http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v2")
    assert found is not None
    assert {t.code for targets in found.groups[0].elements.values() for t in targets} == {"A", "F", "M", "O", "U"}


def test_what_was_added_can_be_removed_and_uncovers_what_it_hid():
    url = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v2"
    definitions = r4().extended()
    before = definitions.generation
    definitions.add({"resourceType": "ConceptMap", "url": url, "version": "9.0.0", "status": "draft"})
    hidden = definitions.concept_map(url)
    assert hidden is not None
    assert not hidden.groups
    assert definitions.remove("ConceptMap", url, "9.0.0")
    assert definitions.concept_map(url) == r4().concept_map(url)
    assert not definitions.remove("ConceptMap", url, "9.0.0")
    assert definitions.generation == before + 2


def test_a_removed_supplement_adds_nothing_more():
    definitions = Definitions()
    definitions.add({"resourceType": "CodeSystem", "url": "s", "content": "supplement", "supplements": "u"})
    assert definitions.supplements("u")
    definitions.remove("CodeSystem", "s")
    assert not definitions.supplements("u")
