"""Bundles: entries, links, search sets, and references from one entry to another."""

from typing import Any

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, is_refused, only_full

UUID = "urn:uuid:c757873d-ec9a-4326-a141-556f4323952"
SERVER = "https://example.org/fhir/"


def patient(identity="1", **members):
    return resource("Patient", id=identity, **members)


def observation(subject, identity="2"):
    return resource("Observation", id=identity, subject={"reference": subject})


def bundle(*entries, kind="collection", **members):
    return resource("Bundle", type=kind, entry=list(entries), **members)


def entry(body, url=None, **members):
    """An entry; its fullUrl is that on a server unless given, and left out when empty."""
    own = f"{SERVER}{body['resourceType']}/{body.get('id')}" if url is None else url
    return ({"fullUrl": own} if own else {}) | {"resource": body} | members


def test_an_entry_has_a_full_url_save_in_transactions():
    assert len(only_full(bundle(entry(patient(), "")))) == 1
    post = {"request": {"method": "POST", "url": "Patient"}}
    assert errors(bundle(entry(patient(), "", **post), kind="transaction")) == []


@pytest.mark.parametrize(("url", "right"), [
    (f"{SERVER}Patient/1", True),
    (f"{UUID}0", True),
    ("https://example.org/whatever", True),
    (f"{SERVER}Patient/2", False),
    (f"{SERVER}Observation/1", False),
    ("Patient/1", False),
])  # fmt: skip
def test_a_full_url_is_absolute_and_agrees_with_the_resource(url, right):
    assert (errors(bundle(entry(patient(), url))) == []) is right
    assert not is_refused(bundle(entry(patient(), url)))


def test_a_full_url_of_a_server_needs_a_resource_with_an_id():
    assert len(only_full(bundle(entry(resource("Patient"), f"{SERVER}Patient/1")))) == 1


def test_a_full_url_is_not_the_canonical():
    body = resource("ValueSet", id="1", status="active", url="https://example.org/sets/a")
    assert len(only_full(bundle(entry(body, "https://example.org/sets/a")))) == 1


@pytest.mark.parametrize(("kind", "relations", "right"), [
    ("collection", ["self"], True),
    ("collection", ["next"], False),
    ("collection", ["self", "self"], False),
    ("searchset", ["self", "next"], True),
    ("searchset", ["next", "next"], False),
    ("searchset", ["alternate", "alternate"], True),
    ("history", ["self", "first"], True),
])  # fmt: skip
def test_links_belong_to_their_kind_of_bundle(kind, relations, right):
    links = [{"relation": relation, "url": f"{SERVER}Patient"} for relation in relations]
    request = {"request": {"method": "PUT", "url": "Patient/1"}, "response": {"status": "200"}}
    more = request if kind == "history" else {}
    assert (errors(bundle(entry(patient(), **more), kind=kind, link=links)) == []) is right


@pytest.mark.parametrize(("body", "mode", "right"), [
    (patient(), "match", True),
    (patient(), "include", True),
    (observation("Patient/1"), "match", False),
    (observation("Patient/1"), "include", True),
    (patient(), "outcome", False),
    (resource("OperationOutcome", issue=[{"severity": "error", "code": "exception"}]), "outcome", True),
])  # fmt: skip
def test_an_entry_of_a_search_set_is_what_its_mode_says(body, mode, right):
    link = [{"relation": "self", "url": f"{SERVER}Patient?name=a"}]
    found = bundle(entry(body, f"{UUID}0", search={"mode": mode}), kind="searchset", link=link)
    assert (errors(found) == []) is right


def test_an_entry_of_a_search_set_holds_a_resource():
    empty = {"fullUrl": f"{UUID}0", "search": {"mode": "match"}}
    assert any("must hold a resource" in text for text in errors(bundle(empty, kind="searchset")))


# --- references ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [f"{UUID}0", "Patient/1", "Patient/9", f"{SERVER}Patient/1", "https://a.test/x"])
def test_an_entry_may_refer_to_another_or_to_the_outside(reference):
    assert errors(bundle(entry(patient(), f"{UUID}0"), entry(observation(reference)))) == []


def test_a_reference_to_an_entry_leads_to_an_allowed_type():
    body = bundle(entry(resource("Practitioner", id="1"), f"{UUID}0"), entry(observation(f"{UUID}0"), f"{UUID}1"))
    assert "refers to Practitioner, but this element allows" in only_full(body)[0]


def test_a_reference_names_one_entry():
    twins = entry(patient(), f"{UUID}0"), entry(patient("3"), f"{UUID}0")
    body = bundle(*twins, entry(observation(f"{UUID}0"), f"{UUID}1"))
    assert any("names 2 entries of the Bundle" in text for text in errors(body))


def test_a_reference_to_a_version_names_the_entry_of_that_version():
    first, second = (patient(meta={"versionId": version}) for version in "12")
    body = bundle(entry(first), entry(second), entry(observation("Patient/1/_history/2")), kind="collection")
    assert errors(body) == []


@pytest.mark.parametrize("reference", ["1", "Patient", "Patient/1/2"])
def test_a_relative_reference_in_an_entry_is_a_type_and_an_id(reference):
    assert len(only_full(bundle(entry(observation(reference))))) == 1


def test_a_relative_reference_needs_a_full_url_to_start_from():
    request = {"request": {"method": "POST", "url": "Observation"}}
    assert len(only_full(bundle(entry(observation("Patient/1"), "", **request), kind="transaction"))) == 1


@pytest.mark.parametrize(("kind", "right"), [("transaction", True), ("batch", True), ("collection", False)])
def test_a_search_may_stand_for_a_reference_in_a_transaction(kind, right):
    request = {"request": {"method": "POST", "url": "Observation"}}
    body = bundle(entry(observation("Patient?identifier=a|1"), f"{UUID}0", **request), kind=kind)
    assert (errors(body) == []) is right


def test_a_search_is_no_reference_outside_of_a_bundle():
    assert len(only_full(observation("Patient?identifier=a|1"))) == 1


# --- documents and messages ----------------------------------------------------------------------------------------


def document(*entries, **members):
    composition = resource("Composition", id="c", subject={"reference": "Patient/1"}, **members)
    identifier = {"system": "https://example.org/documents", "value": "1"}
    first = entry(composition)
    return bundle(first, *entries, kind="document", identifier=identifier, timestamp="2024-01-01T00:00:00Z")


def test_a_document_holds_what_its_composition_refers_to():
    assert errors(document(entry(patient()))) == []
    assert any("'Patient/1' is not in the Bundle" in text for text in only_full(document()))


def test_sections_and_those_within_them_count():
    inner: dict[str, Any] = {"title": "b", "entry": [{"reference": "Observation/2"}]}
    section = [{"title": "a", "text": {"status": "generated", "div": DIV}, "section": [inner]}]
    inner["text"] = section[0]["text"]
    assert errors(document(entry(patient()), entry(observation("Patient/1")), section=section)) == []
    assert len(only_full(document(entry(patient()), section=section))) == 1


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'


def test_nothing_is_in_a_document_that_nothing_leads_to():
    found = only_full(document(entry(patient()), entry(patient("9"))))
    assert found == ["Bundle.entry[2]: Nothing leads from the Composition to this entry, nor back."]


def test_what_refers_to_the_document_belongs_to_it():
    assert errors(document(entry(patient()), entry(observation("Patient/1")))) == []


def test_a_style_sheet_belongs_to_the_document():
    sheet = resource("Binary", id="s", contentType="text/css")
    body = document(entry(patient()), entry(sheet)) | {"link": [{"relation": "stylesheet", "url": "Binary/s"}]}
    assert errors(body) == []


def test_a_relative_reference_in_a_document_goes_by_full_urls():
    body = document(entry(patient(), "https://other.test/fhir/Patient/1"))
    assert any("its fullUrl is another" in text for text in errors(body))


def test_a_message_holds_what_its_header_is_about():
    header = resource(
        "MessageHeader",
        id="h",
        eventUri="https://example.org/event",
        source={"endpoint": "https://example.org/source"},
        focus=[{"reference": "Patient/1"}],
    )
    assert errors(bundle(entry(header), entry(patient()), kind="message")) == []
    assert any("is not in the Bundle" in text for text in only_full(bundle(entry(header), kind="message")))


def test_a_document_starts_with_a_composition():
    body = document(entry(patient()))
    body["entry"].reverse()
    assert is_refused(body)
    assert any("must start with a Composition" in text for text in errors(body))


@pytest.mark.parametrize("link", [1.5, True, "self", {"relation": "self"}])
def test_links_of_a_wrong_shape_are_only_found_wrong(link):
    body = resource("Bundle", type="searchset", link=link, entry=[{"search": {"mode": "match"}}])
    assert is_refused(body)
