"""Searches that ask for too much, for nothing, or for something else (rows 25 to 33 of the catalogue)."""

import re
from urllib.parse import quote

import pytest

from tests.abuse.attack import Abuse, Keeper, refused
from tests.serving import Served, serving

FORM = {"content_type": "application/x-www-form-urlencoded"}
MANY_TERMS = "name:contains=" + ",".join(f"a{number}" for number in range(10_000))
MANY_IDS = "_id=" + ",".join(f"id-{number}" for number in range(50_000))
HAS = "_has:Observation:patient:" * 20 + "code=1"
CHAIN = "Observation?" + "has-member." * 20 + "code=1"


def asking(row: int, name: str, query: str, status: int, codes: str, *, says: str = "") -> Abuse:
    """A search by GET."""
    path = query if "?" in query else f"Patient?{query}"
    return Abuse(row, name, status, codes, "GET", path, says=says)


def by_form(row: int, name: str, form: str, status: int, codes: str) -> Abuse:
    """A search by POST, whose parameters may be longer than a URL."""
    return Abuse(row, name, status, codes, "POST", "Patient/_search", form.encode(), FORM)


ABUSES = (
    asking(25, "terms-in-url", f"Patient?{MANY_TERMS}", 414, "too-long", says="_search"),
    by_form(25, "10000-terms", MANY_TERMS, 422, "too-costly"),
    by_form(25, "50000-ids", MANY_IDS, 422, "too-costly"),
    by_form(25, "5000-parameters", "&".join(f"name=a{n}" for n in range(5000)), 400, "too-costly"),
    by_form(25, "500-parameters", "&".join(f"name=a{n}" for n in range(500)), 422, "too-costly"),
    asking(27, "sort-nonsense", "_sort=$$$", 400, "invalid|value|not-supported", says="_sort"),
    asking(27, "sort-empty-parts", "_sort=-_id,,", 400, "invalid|value", says="_sort"),
    asking(27, "sort-many", "_sort=" + ",".join(["name", "birthdate"] * 50), 422, "too-costly"),
    asking(27, "unknown-parameter", "birthday=2000", 400, "invalid|not-supported", says="birthdate"),
    asking(27, "unknown-modifier", "name:fuzzy=a", 400, "invalid|not-supported|value", says="fuzzy"),
    asking(
        27, "modifier-of-another-type", "birthdate:contains=2000", 400, "invalid|not-supported|value", says="contains"
    ),
    asking(27, "no-name", "=a", 400, "invalid|value|not-supported"),
    asking(28, "count-negative", "_count=-1", 400, "value", says="_count"),
    asking(28, "count-hexadecimal", "_count=0x10", 400, "value", says="_count"),
    asking(28, "count-arabic-digits", "_count=" + quote("٣"), 400, "value", says="_count"),
    asking(28, "summary-unknown", "_summary=all", 400, "value", says="_summary"),
    asking(28, "total-unknown", "_total=many", 400, "value", says="_total"),
    asking(29, "include-nonsense", "_include=Patient", 400, "invalid|value", says="_include"),
    asking(29, "include-unknown", "_include=Patient:physician", 400, "invalid|value|not-supported"),
    asking(30, "cursor-forged", "_cursor=AAAAAAAAAAAAAAAAAAAAAAAA", 400, "invalid", says="_cursor"),
    asking(30, "cursor-not-base64", "_cursor=%F0%9F%92%A9", 400, "invalid", says="_cursor"),
    asking(30, "cursor-long", "_cursor=" + "A" * 7000, 400, "invalid", says="_cursor"),
    asking(30, "cursor-of-history", "_history?_cursor=AAAAAAAAAAAAAAAAAAAAAAAA", 400, "invalid", says="_cursor"),
    asking(32, "has-20-levels", HAS, 422, "too-costly"),
    asking(32, "chain-20-levels", CHAIN, 422, "too-costly"),
    asking(32, "filter-500-levels", "_filter=" + "(" * 500 + "name eq a" + ")" * 500, 422, "too-costly"),
    asking(32, "filter-500-nots", "_filter=" + quote("not(" * 500 + "name eq a" + ")" * 500), 422, "too-costly"),
    by_form(32, "filter-50000-terms", "_filter=" + quote(" or ".join(["name eq a"] * 50_000)), 422, "too-costly"),
    asking(32, "filter-broken", "_filter=" + quote('name eq "a'), 400, "invalid|value"),
    *(
        asking(33, f"date-{name}", f"birthdate={quote(text)}", 400, "value", says="birthdate")
        for name, text in (
            ("february-30", "2026-02-30"),
            ("month-13", "2026-13"),
            ("hour-25", "2026-01-01T25:00:00Z"),
            ("year-0000", "0000"),
            ("words", "yesterday"),
            ("prefix-only", "gt"),
            ("prefix-unknown", "xx2020"),
            ("year-99999", "99999"),
            ("zone-99", "2026-01-01T00:00:00+99:00"),
        )
    ),
    by_form(33, "date-1-mb", "birthdate=gt" + "9" * 1_000_000, 400, "value"),
    asking(33, "number-infinite", "RiskAssessment?probability=1e999999999", 400, "value"),
    asking(33, "number-nan", "RiskAssessment?probability=NaN", 400, "value"),
    asking(33, "number-words", "RiskAssessment?probability=many", 400, "value"),
    asking(33, "quantity-broken", "Observation?value-quantity=5.4%7C", 400, "value"),
    asking(33, "near-nowhere", "Location?near=91%7C181%7C-5%7Ckm", 400, "value"),
    asking(33, "missing-maybe", "name:missing=maybe", 400, "value"),
    asking(33, "since-broken", "_history?_since=soon", 400, "value", says="_since"),
    asking(33, "not-utf-8", "name=%ff", 400, "value", says="UTF-8"),
)


@pytest.mark.parametrize("abuse", ABUSES, ids=str)
def test_it_is_refused_and_leaves_nothing(server: Served, keeper: Keeper, abuse: Abuse):
    refused(abuse.commit(server), abuse)
    keeper.check()


LITERALS = {
    "percent": "%",
    "underscore": "_",
    "star": "*",
    "sql": "' OR 1=1--",
    "sql-drop": '");DROP TABLE version;--',
    "sql-union": "a' UNION SELECT body FROM version--",
    "mongo": '{"$gt":""}',
    "fts": 'a" OR b NEAR c*',
    "regex": ".*",
    "nul": "a\0b",
    "surrogates": "\N{PILE OF POO}" * 100,
    "template": "{{7*7}}${7*7}",
    "header": "a\r\nSet-Cookie: a=b",
    "null": "null",
}


@pytest.mark.parametrize(
    "name", ["name", "name:exact", "name:contains", "identifier", "_id", "_tag", "_text", "_content", "organization"]
)
@pytest.mark.parametrize("text", LITERALS.values(), ids=LITERALS)
def test_26_a_value_is_only_ever_a_value(server: Served, keeper: Keeper, name: str, text: str):
    server.create({"resourceType": "Patient", "name": [{"family": "Nguyen"}]})
    keeper.accept()
    answer = server.get(f"Patient?{name}={quote(text)}")
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert answer.json().get("entry", []) == []
        assert "set-cookie" not in answer.headers
    keeper.check()


def test_25_a_percent_sign_matches_a_percent_sign(server, keeper):
    made = server.create({"resourceType": "Patient", "name": [{"family": "100% sure_thing"}]})
    for text in ("0%25 s", "e_t"):
        assert server.found(f"Patient?name:contains={text}") == [made["id"]]
    keeper.accept()


def test_27_an_unknown_parameter_is_left_out_where_the_client_is_lenient(server):
    answer = server.get("Patient?birthday=2000&_count=1", prefer="handling=lenient")
    assert answer.status_code == 200
    outcome = answer.json()["entry"][-1]
    assert outcome["search"]["mode"] == "outcome"
    assert "birthday" in outcome["resource"]["issue"][0]["details"]["text"]
    (own,) = [link["url"] for link in answer.json()["link"] if link["relation"] == "self"]
    assert "birthday" not in own


def test_28_a_page_is_never_larger_than_the_server_allows():
    with serving(largest_page_entries=3) as small:
        for _ in range(5):
            small.create({"resourceType": "Patient"})
        for count in (10**9, 10**1000):
            assert len(small.get(f"Patient?_count={count}").json()["entry"]) == 3


def test_29_includes_that_go_in_circles_come_to_an_end(server, keeper):
    first = server.create({"resourceType": "Organization", "name": "a"})
    second = server.create(
        {"resourceType": "Organization", "name": "b", "partOf": {"reference": f"Organization/{first['id']}"}}
    )
    server.put({**first, "partOf": {"reference": f"Organization/{second['id']}"}})
    for include in (
        "_include:iterate=Organization:partof",
        "_revinclude:iterate=Organization:partof",
        "_include=*",
        "_revinclude=*",
    ):
        answer = server.get(f"Organization?_id={first['id']}&{include}")
        assert answer.status_code == 200
        assert [entry["search"]["mode"] for entry in answer.json()["entry"]] == ["match", "include"]
    keeper.accept()


def test_29_what_is_included_is_bounded_and_the_client_is_told():
    with serving(included_entries=3) as small:
        patient = small.create({"resourceType": "Patient"})
        subject = {"reference": f"Patient/{patient['id']}"}
        for _ in range(5):
            small.create({"resourceType": "Flag", "status": "active", "code": {"text": "a"}, "subject": subject})
        entries = small.get("Patient?_revinclude=*").json()["entry"]
    modes = [entry["search"]["mode"] for entry in entries]
    assert modes == ["match", "include", "include", "include", "outcome"]
    assert entries[-1]["resource"]["issue"][0]["code"] == "too-costly"


def test_30_a_cursor_belongs_to_its_search(server, keeper):
    for _ in range(3):
        server.create({"resourceType": "Basic", "code": {"text": "a"}})
    (following,) = [link["url"] for link in server.get("Basic?_count=1").json()["link"] if link["relation"] == "next"]
    found = re.search("_cursor=([^&]+)", following)
    assert found
    assert server.get(f"Basic?_count=1&_cursor={found[1]}").status_code == 200
    for path in (
        f"Patient?_count=1&_cursor={found[1]}",
        f"Basic?_count=1&code=a&_cursor={found[1]}",
        f"Basic?_count=1&_cursor={found[1][:-2]}",
    ):
        answer = server.get(path)
        assert answer.status_code == 400
        assert "_cursor" in answer.json()["issue"][0]["details"]["text"]
    keeper.accept()
