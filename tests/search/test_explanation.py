import pytest

from tests.search.searching import SEARCHER, search


def explained(address):
    return SEARCHER.explain(search(address))


def test_conditions_are_said_in_the_names_of_their_parameters():
    assert explained("Patient?name:exact=An&_id=1&active:missing=true")["find"]["Patient"] == {
        "all": [
            {"id": ["1"]},
            {"row": "Patient.name", "where": [["v", "=", "an"], ["x", "=", "An"]]},
            {"not": {"any row": "Patient.active"}},
        ]
    }


def test_facets_are_named_where_they_are_not_the_first():
    (found,) = explained("Observation?code=http://loinc.org|1&_sort=-value-quantity")["sort"]
    assert found == {"by": ["Observation.value-quantity (canonical)"], "descending": True}


def test_joins_texts_positions_and_times_are_said():
    found = explained("Location?near=1|2&organization:Organization.name=x&_has:Encounter:location:status=a&_text=b"
                      "&_lastUpdated=2024")  # fmt: skip
    keys = {key for item in found["find"]["Location"]["all"] for key in item}
    assert {"near", "point", "metres", "refers by", "to", "is referred to by", "of", "that"} <= keys
    assert {"text", "expression", "last updated"} <= keys


def test_order_and_includes_are_said():
    includes = "_include=Patient:organization:Organization&_revinclude:iterate=Observation:subject"
    found = explained(f"Patient?_sort=_id,-_lastUpdated&{includes}")
    assert found["find"] == {"Patient": "everything"}
    assert found["sort"] == [{"by": "id", "descending": False}, {"by": "last updated", "descending": True}]
    assert found["include"] == [
        {"what is referred to": ["Patient.organization"], "type": "Organization"},
        {"what refers here": ["Observation.subject"], "again": True},
    ]


def test_long_lists_are_cut():
    values = explained("Patient?_id=" + ",".join(map(str, range(30))))["find"]["Patient"]["id"]
    assert values[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("query", "looked_through", "unserved"),
    [
        ("gender=female&active:missing=true", "an index", 1),
        ("birthdate=ge2020", "an index", 0),
        ("name:contains=an", "all rows of a parameter", 1),
        ("name:contains=an&identifier=urn:s|1", "an index", 1),
        ("gender:not=female", "each resource", 1),
        ("active:missing=false&_lastUpdated=gt2024", "each resource", 2),
        ("_filter=gender eq female or name co an", "all rows of a parameter", 1),
        ("general-practitioner.name=an&_id=1", "an index", 0),
    ],
)
def test_what_no_index_serves_is_said(query, looked_through, unserved):
    found = explained(f"Patient?{query}")
    assert found["looks through"] == {"Patient": looked_through}
    assert len(found.get("without an index", {}).get("Patient", ())) == unserved
