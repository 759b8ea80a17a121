import pytest

from tests.validation.profiled import BASE, Checked, element, profile, resource

LOCAL = profile("local", "Address", element("Address.city", min=1))
FOREIGN = profile("foreign", "Address", element("Address.country", min=1))


def addressed(*profiles):
    kind = {"code": "Address", "profile": [BASE + p for p in profiles]}
    return profile("p", "Patient", element("Patient.address", type=[kind]))


def test_a_datatype_meets_the_profile_of_its_element():
    checked = Checked(addressed("local"), LOCAL)
    assert checked.texts(resource("Patient", address=[{"city": "Hue"}])) == []
    assert checked.texts(resource("Patient", address=[{"country": "VN"}])) == [
        "Patient.address[0]: Address.city: at least 1 required, found 0."
    ]


def test_one_of_several_profiles_is_enough():
    checked = Checked(addressed("local", "foreign"), LOCAL, FOREIGN)
    assert checked.texts(resource("Patient", address=[{"city": "Hue"}, {"country": "LA"}])) == []
    [issue] = checked.issues(resource("Patient", address=[{"text": "a"}]))
    assert issue.text == (
        "None of the allowed profiles is met. "
        f"{BASE}local: Address.city: at least 1 required, found 0. "
        f"{BASE}foreign: Address.country: at least 1 required, found 0."
    )


@pytest.mark.parametrize(("depth", "told"), [("write", False), ("full", True)])
def test_a_profile_that_is_not_known_is_told_at_full_depth(depth, told):
    checked = Checked(addressed("nowhere"), depth=depth)
    assert bool(checked.texts(resource("Patient", address=[{"city": "Hue"}]))) is told


def test_the_resource_of_an_entry_meets_its_profile():
    named = profile("named", "Patient", element("Patient.name", min=1))
    kind = {"code": "Patient", "profile": [BASE + "named"]}
    checked = Checked(profile("p", "Bundle", element("Bundle.entry.resource", type=[kind])), named)
    url = "urn:uuid:8d1b1c2e-54b2-4b1e-9a6d-b2c1f1c1a001"
    body = resource("Bundle", entry=[{"fullUrl": url, "resource": {"resourceType": "Patient", "active": True}}])
    assert checked.texts(body) == ["Bundle.entry[0].resource: Patient.name: at least 1 required, found 0."]
    body["entry"][0]["resource"] = {"resourceType": "Device"}
    assert checked.texts(body) == [
        "Bundle.entry[0].resource: Bundle.entry.resource must be of type Patient, found Device."
    ]


def test_a_simple_quantity_has_no_comparator():
    body = resource("Observation", referenceRange=[{"low": {"value": 1, "comparator": "<"}}])
    assert Checked().issues(body)
    del body["referenceRange"][0]["low"]["comparator"]
    assert Checked().issues(body) == []


def linked(*targets, **more):
    return {"code": "Reference", "targetProfile": list(targets)} | more


PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
DEVICE = "http://hl7.org/fhir/StructureDefinition/Device"


@pytest.mark.parametrize(
    ("reference", "refused"),
    [
        ("Patient/1", False),
        ("https://example.org/fhir/Patient/1", False),
        ("Device/1", True),
        ("https://example.org/fhir/Device/1", True),
        ("urn:uuid:8d1b1c2e-54b2-4b1e-9a6d-b2c1f1c1a001", False),
        ("https://example.org/anything", False),
    ],
)
def test_what_a_reference_names_is_judged_by_its_form(reference, refused):
    checked = Checked(profile("p", "Observation", element("Observation.subject", type=[linked(PATIENT)])))
    assert bool(checked.texts(resource("Observation", subject={"reference": reference}))) is refused


NAMED = profile("named", "Patient", element("Patient.name", min=1))
ABOUT_NAMED = profile("p", "Observation", element("Observation.subject", type=[linked(BASE + "named")]))


@pytest.mark.parametrize(("name", "refused"), [([{"text": "a"}], False), (None, True)])
def test_a_contained_target_meets_its_profile(name, refused):
    inside = {"resourceType": "Patient", "id": "p"} | ({"name": name} if name else {"active": True})
    body = resource("Observation", contained=[inside], subject={"reference": "#p"})
    assert bool(Checked(ABOUT_NAMED, NAMED).texts(body)) is refused


@pytest.mark.parametrize("reference", ["Patient/1", "https://example.org/fhir/Patient/1"])
@pytest.mark.parametrize(("name", "refused"), [([{"text": "a"}], False), (None, True)])
def test_a_target_in_the_same_bundle_meets_its_profile(reference, name, refused):
    kind = {"code": "Observation", "profile": [BASE + "p"]}
    bundle = profile(
        "bundle",
        "Bundle",
        element("Bundle.entry", slicing={"discriminator": [{"type": "type", "path": "resource"}], "rules": "open"}),
        element("Bundle.entry:o", min=1),
        element("Bundle.entry:o.resource", type=[kind]),
    )
    patient = {"resourceType": "Patient", "id": "1"} | ({"name": name} if name else {"active": True})
    observation = resource("Observation", id="2", subject={"reference": reference})
    entries = [
        {"fullUrl": f"https://example.org/fhir/{r['resourceType']}/{r['id']}", "resource": r}
        for r in (observation, patient)
    ]
    found = Checked(bundle, ABOUT_NAMED, NAMED).texts(resource("Bundle", entry=entries))
    assert bool(found) is refused


def test_profiles_that_lead_back_to_themselves_end():
    ring = profile(
        "p",
        "Patient",
        element("Patient.gender", fixedCode="other"),
        element("Patient.link.other", type=[linked(BASE + "p")]),
    )
    link = {"other": {"reference": "#p"}, "type": "seealso"}
    inside = {"resourceType": "Patient", "id": "p", "gender": "other", "link": [{**link, "other": {"reference": "#"}}]}
    body = resource("Patient", gender="other", contained=[inside], link=[link])
    assert Checked(ring).texts(body) == []
    inside["gender"] = "male"
    [issue] = Checked(ring).issues(body)
    assert issue.expression == ("Patient.link[0].other.reference",)


def test_a_long_chain_of_references_is_followed_some_way():
    ring = profile("p", "Patient", element("Patient.link.other", type=[linked(BASE + "p")]))
    entries = [
        {
            "fullUrl": f"https://example.org/fhir/Patient/{n}",
            "resource": {
                "resourceType": "Patient",
                "id": str(n),
                "link": [{"other": {"reference": f"Patient/{n + 1}"}, "type": "seealso"}],
            },
        }
        for n in range(1000)
    ]
    kind = {"code": "Patient", "profile": [BASE + "p"]}
    bundle = profile("bundle", "Bundle", element("Bundle.entry.resource", type=[kind]))
    assert Checked(bundle, ring).texts(resource("Bundle", entry=entries)) == []


@pytest.mark.parametrize(
    ("modes", "reference", "refused"),
    [
        (["contained"], "#p", False),
        (["contained"], "Patient/1", True),
        (["referenced"], "Patient/1", False),
        (["referenced"], "#p", True),
        (["bundled", "contained"], "#p", False),
        (["bundled"], "#p", True),
    ],
)
def test_a_target_is_where_the_profile_allows_it(modes, reference, refused):
    checked = Checked(
        profile("p", "Observation", element("Observation.subject", type=[linked(PATIENT, aggregation=modes)]))
    )
    inside = {"resourceType": "Patient", "id": "p"}
    more = {"contained": [inside]} if reference == "#p" else {}
    assert bool(checked.texts(resource("Observation", subject={"reference": reference}, **more))) is refused
