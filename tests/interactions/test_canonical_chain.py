"""Chains and `_has` along canonicals (FHIR R4, 2.3.0.2 canonical URLs, 3.1.1.4.14 chained parameters)."""

import pytest

from tests.serving import serving

URL = "http://example.org/Questionnaire/"


@pytest.fixture(scope="module")
def server():
    with serving() as served:
        for own_id, url, version, title in (
            ("phq", "phq9", "1.0", "Trầm cảm PHQ-9"),
            ("phq-new", "phq9", "2.0-B", "PHQ-9 mới"),
            ("gad", "gad7", None, "Lo âu GAD-7"),
        ):
            more = {} if version is None else {"version": version}
            body = {"id": own_id, "url": URL + url, "status": "active", "title": title, **more}
            assert served.put({"resourceType": "Questionnaire", **body}).status_code == 201
        for own_id, canonical in (
            ("any", "phq9"), ("old", "phq9|1.0"), ("new", "phq9|2.0-B"), ("lost", "phq9|3.0"), ("other", "gad7"),
        ):  # fmt: skip
            body = {"id": own_id, "questionnaire": URL + canonical, "status": "completed"}
            assert served.put({"resourceType": "QuestionnaireResponse", **body}).status_code == 201
        yield served


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"questionnaire:Questionnaire.url={URL}phq9", {"any", "old", "new"}),
        ("questionnaire.title=tram", {"any", "old"}),
        ("questionnaire.version=2.0-b", {"any", "new"}),
        ("questionnaire.title=lo", {"other"}),
        ("questionnaire.title=none", set()),
        ("questionnaire.title:missing=true", set()),
        ("questionnaire.status=active&_sort=-_id", {"any", "old", "new", "other"}),
        ("questionnaire._has:QuestionnaireResponse:questionnaire:_id=old", {"any", "old"}),
    ],
)
def test_a_chain_follows_a_canonical(server, query, found):
    assert set(server.found(f"QuestionnaireResponse?{query}")) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("_id=old", {"phq"}),
        ("_id=any", {"phq", "phq-new"}),
        ("_id=new", {"phq-new"}),
        ("_id=lost", set()),
        ("status=completed", {"phq", "phq-new", "gad"}),
    ],
)
def test_what_canonicals_refer_to_is_found(server, source, found):
    assert set(server.found(f"Questionnaire?_has:QuestionnaireResponse:questionnaire:{source}")) == found


def test_a_change_is_seen_at_once(server):
    body = {"resourceType": "Questionnaire", "id": "gad", "url": f"{URL}gad", "status": "active", "title": "Lo âu"}
    assert server.put(body).status_code == 200
    assert server.found("QuestionnaireResponse?questionnaire.title=lo") == []
    assert server.found("Questionnaire?_id=gad&_has:QuestionnaireResponse:questionnaire:_id=other") == []
