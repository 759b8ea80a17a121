import random
from zoneinfo import ZoneInfo

import orjson
import pytest

from fhir_server.definitions.registry import r4
from fhir_server.search.index import Indexer
from fhir_server.search.row import FACETS
from tests.conformance.search_extraction import run

SAMPLE, SEED = 400, 20261123
NATIONALITY = "http://example.org/nationality"


def parameter(expression, kind="token", code="custom"):
    return {
        "resourceType": "SearchParameter", "url": f"http://example.org/SearchParameter/{code}", "code": code,
        "type": kind, "base": ["Patient"], "expression": expression,
    }  # fmt: skip


def cells(indexer, resource, code):
    number = indexer.parameters.of(resource["resourceType"])[code].number
    return {(row[0] - number, *row[1:]) for row in indexer.rows(resource) if number <= row[0] < number + FACETS}


def test_rows_are_distinct(indexer):
    coding = {"system": "urn:s", "code": "a"}
    rows = indexer.rows({"resourceType": "Patient", "meta": {"tag": [coding, coding]}})
    assert len(rows) == len(set(rows))


def test_a_parameter_added_at_run_time_is_read_at_once():
    definitions = r4().extended()
    indexer = Indexer(definitions)
    patient = {"resourceType": "Patient", "extension": [{"url": NATIONALITY, "valueCode": "VN"}]}
    indexer.rows(patient)
    definitions.add(parameter(f"Patient.extension('{NATIONALITY}').value"))
    assert cells(indexer, patient, "custom") == {(1, "vn", "")}
    number = indexer.parameters.of("Patient")["custom"].number
    assert indexer.rows_of(patient, ["custom"]) == [(number + 1, "vn", "")]


@pytest.mark.parametrize(
    ("expression", "kind", "found"),
    [
        ("Patient.name.where(use = 'official' and given.exists()).family", "string", {(0, "an", "An")}),
        ("Patient.name.given.count()", "number", {(0, 1, 1)}),
        ("iif(Patient.active, 'yes', 'no')", "token", {(1, "yes", "")}),
        ("Patient.birthDate + 1 year", "date", {(0, 978282000000, 978368400000)}),
        ("Patient.name.family.single()", "string", {(0, "an", "An")}),
        ("Patient.contact.error('no such function')", "string", set()),
        ("(1 | 2).single()", "number", set()),
    ],
)
def test_an_expression_that_is_more_than_paths_goes_to_the_engine(expression, kind, found):
    definitions = r4().extended()
    definitions.add(parameter(expression, kind))
    name = {"use": "official", "family": "An", "given": ["B"]}
    patient = {"resourceType": "Patient", "active": True, "birthDate": "2000-01-01", "name": [name]}
    assert cells(Indexer(definitions), patient, "custom") == found


def test_values_of_a_wrong_shape_only_cost_their_own_parameter(indexer):
    patient = {
        "resourceType": "Patient",
        "name": "An",
        "birthDate": "yesterday",
        "active": True,
        "address": [{"city": 3}],
    }
    assert cells(indexer, patient, "active") == {(0, "true", "")}
    assert cells(indexer, patient, "name") == cells(indexer, patient, "birthdate") == set()


JUNK = '[null, 1, -1.5, true, "x", "", [], {}, [null], [[1]], {"a": 1}, {"coding": [1]}, {"reference": 5}]'


def places(value):
    """Every member and item below a JSON value, as what holds it and its key."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key != "resourceType":
            yield value, key
            yield from places(part)


@pytest.mark.shared
def test_no_junk_in_a_resource_is_an_error(indexer, r4_examples):
    chance = random.Random(SEED)
    raws = [
        raw for name, raw in sorted(r4_examples.items()) if name.startswith(("Observation-", "Patient-", "Library-"))
    ]
    for _ in range(400):
        body = orjson.loads(chance.choice(raws))
        holder, key = chance.choice(list(places(body)))
        holder[key] = chance.choice(orjson.loads(JUNK))
        assert all(None not in row for row in indexer.rows(body))


def test_dates_without_zone_are_read_in_the_zone_of_the_node():
    patient = {"resourceType": "Patient", "birthDate": "2000-01-01"}
    here = cells(Indexer(r4()), patient, "birthdate")
    there = cells(Indexer(r4(), zone=ZoneInfo("UTC")), patient, "birthdate")
    assert {v + 7 * 3_600_000 for _, v, _ in here} == {v for _, v, _ in there}


def test_a_resource_of_an_unknown_type_has_no_rows(indexer):
    assert indexer.rows({"resourceType": "Nothing", "id": "1"}) == []


@pytest.mark.shared
def test_a_sample_of_the_examples_agrees_with_fhirpathpy_and_the_engine(shared):
    results = run(shared, limit=SAMPLE, seed=SEED)
    assert len(results) > 500
    assert [result for result in results if not result.passed] == []


@pytest.mark.shared
def test_every_synthetic_resource_has_rows_that_sort(indexer, synthea_resources):
    for raw in synthea_resources[::50]:
        body = orjson.loads(raw)
        rows = indexer.rows(body)
        assert len(rows) == len(set(rows)) > 3
        assert {len(row) for row in rows} <= {3, 5}
