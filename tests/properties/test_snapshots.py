"""Whatever a differential says, a snapshot is a well-formed tree that another profile can build on."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fhir_server.definitions.structure import Structure
from tests.definitions.profiles import at, generated, loaded, profile, structure_of, url

STEPS = {
    "Observation": ("code", "value[x]", "valueQuantity", "component", "extension", "referenceRange", "status", "beard"),
    "code": ("coding", "text", "extension"),
    "coding": ("system", "code", "id"),
    "value[x]": ("extension", "unit", "coding"),
    "valueQuantity": ("unit", "extension", "code"),
    "component": ("code", "value[x]", "valueQuantity", "referenceRange"),
    "referenceRange": ("low", "text"),
    "extension": ("url", "value[x]", "valueString", "extension"),
}
SLICES = ("", "", "", ":a", ":b", ":a/x", ":valueQuantity")
BY_CODE = {"discriminator": [{"type": "value", "path": "code"}], "rules": "open"}
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "min": st.integers(0, 2),
        "max": st.sampled_from(["0", "1", "*"]),
        "slicing": st.just(BY_CODE),
        "type": st.sampled_from([[{"code": "string"}], [{"code": "Quantity"}], [{"code": "CodeableConcept"}]]),
        "fixedString": st.just("a"),
        "constraint": st.just([{"key": "k", "severity": "error", "human": "-", "expression": "true"}]),
    },
)


@st.composite
def element_ids(draw):
    name, element_id = "Observation", "Observation"
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(STEPS.get(name, ("id", "extension"))))
        element_id += "." + name + draw(st.sampled_from(SLICES))
    return element_id


differentials = st.lists(st.builds(lambda name, more: at(name, **more), element_ids(), MEMBERS), max_size=8)


def plain(element_id):
    return ".".join(step.partition(":")[0] for step in element_id.split("."))


@settings(deadline=None)
@given(differentials)
def test_every_element_has_its_own_id_below_its_parent(elements):
    seen: set[str] = set()
    for element in generated(profile("p", "Observation", *elements)).elements:
        assert element.id not in seen
        assert element.path == plain(element.id)
        assert "." not in element.id or element.id.rpartition(".")[0] in seen
        seen.add(element.id)


@settings(deadline=None)
@given(differentials)
@example([at("Observation.valueQuantity:a"), at("Observation.value[x]:a")])
def test_a_profile_that_adds_nothing_has_the_snapshot_of_its_base(elements):
    body = profile("p", "Observation", *elements)
    definitions = loaded(body, profile("q", "Observation", base=url("p")))
    base: Structure = structure_of(definitions, url("p"))
    assert structure_of(definitions, url("q")).elements == base.elements


@settings(deadline=None)
@given(differentials)
def test_nothing_of_the_base_is_lost(elements):
    made = {element.path for element in generated(profile("p", "Observation", *elements)).elements}
    base = {
        element.path
        for element in structure_of(loaded(), "http://hl7.org/fhir/StructureDefinition/Observation").elements
    }
    assert base <= made
