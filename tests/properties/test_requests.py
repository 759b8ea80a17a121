"""Whatever is asked, the server answers it, and never with a fault of its own."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving import JSON, Served, serving

WORDS = (
    "Patient Observation Binary Bundle Foo patient _history _search metadata $validate $everything $meta $foo"
    " 1 a * .. . _history/1 _history/x"
).split()
NAMES = (
    "_id _lastUpdated _tag _text _content _list _has:Observation:patient:code _has _type _filter _sort _count _total "
    "_summary _elements _include _revinclude:iterate _format _pretty _explain _cursor name name:exact name:missing "
    "birthdate identifier identifier:of-type gender:not gender:in organization.partof.name code value-quantity "
    "code-value-quantity near _since _at x"
).split()
VALUES = (
    "|a|1|-1|0|99999999999999999999|2026-02-30|ge2020|gt|eq2020-01-01T00:00:00+99:00|$|a$b$c|\\|%|%00|é|Patient/1|#x|"
    "urn:uuid:1|1e400|NaN|5.40|true|{}|'|\"|*|Observation:subject|-_lastUpdated|name,-birthdate,|$$$|10.5,20.3|json|xml|"
    'count|accurate|name eq "a"|(((|not(a eq b)'
).split("|")
BODIES = (
    b"",
    b"{}",
    b"null",
    b"<a/>",
    b'{"resourceType":"Patient","id":"1"}',
    b'{"resourceType":"Patient","id":1}',
    b'{"resourceType":"Patient","id":"1","meta":1}',
    b'{"resourceType":"Patient","name":[null,1,{"given":[{}]}]}',
    b'{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":1,"request":{"method":"POST","url":"Patient"}}]}',
    (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"?a=b"}},{"request":'
        b'{"method":"PATCH","url":"Patient/1"}},{"request":{"method":"POST","url":"Patient/_search?name=x"}}]}'
    ),
    b'{"resourceType":"Parameters","parameter":1}',
    b'[{"op":"remove","path":"/resourceType"}]',
    b"\xff\xfe",
    b"_count=x&a=%ff",
)
TYPES = (
    "application/fhir+json application/fhir+xml application/json-patch+json"
    " application/x-www-form-urlencoded text/plain ;;"
).split()
HEADERS = {
    "if-match": ('W/"1"', "*", "x", '"'),
    "if-none-match": ("*", 'W/"1"', "é"),
    "if-none-exist": ("identifier=a", "", "x=y", "%ff"),
    "prefer": ("return=minimal", "return=OperationOutcome", "handling=lenient", "x"),
    "accept": ("*/*", "text/html", "application/fhir+xml", "a;q=x", ";"),
    "content-encoding": ("gzip", "x"),
    "host": ('a"b', "node"),
    "origin": ("null", "http://localhost:1"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


pairs = st.tuples(st.sampled_from(NAMES), st.one_of(st.sampled_from(VALUES), st.text(max_size=8)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]),
    path=st.lists(st.sampled_from(WORDS), max_size=4).map("/".join),
    query=st.lists(pairs, max_size=3),
    body=st.sampled_from(BODIES),
    content_type=st.sampled_from([JSON, *TYPES]),
    headers=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in HEADERS.items()}),
)
def test_no_request_is_a_fault_of_the_server(server, method, path, query, body, content_type, headers):
    encoded = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in query)
    sent = body if method in ("POST", "PUT", "PATCH") else None
    named = {name: value.encode() for name, value in headers.items()}
    answer = server.ask(method, f"{path}?{encoded}" if encoded else path, sent, content_type=content_type, **named)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and method != "HEAD":
        assert "OperationOutcome" in answer.text
