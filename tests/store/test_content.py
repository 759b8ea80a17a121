"""The two ways to part a resource for the store come to the same bytes."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import Invalid
from fhir_server.resource.exact import parse_exact
from fhir_server.store.content import content, content_of, stamped

VALUES = st.sampled_from((None, True, -7, 'a "meta": b', "é\\u", {"meta": {"id": "c"}}, [{"id": 1}, []]))
METAS = st.dictionaries(st.sampled_from(("versionId", "lastUpdated", "tag", "profile", "source")), VALUES, max_size=4)


@st.composite
def resources(draw):
    """A resource with its members in any order."""
    body = draw(st.dictionaries(st.sampled_from(("a", "text", "contained")), VALUES, max_size=3))
    body["resourceType"] = "Basic"
    if draw(st.booleans()):
        body["id"] = draw(st.text(max_size=4))
    if draw(st.booleans()):
        body["meta"] = draw(METAS)
    return {name: body[name] for name in draw(st.permutations(list(body)))}


@given(resources())
def test_written_anew_and_spliced_are_the_same(body):
    raw = orjson.dumps(body)
    assert content_of(body, 'o"ne') == content(raw, body, 'o"ne')


def test_spelling_is_kept():
    raw = b'{"resourceType":"Basic","meta":{"tag":[{"code":"a\\/b"}],"versionId":"9"},"n":1.10}'
    made = stamped(content_of(parse_exact(raw), "b"), 3, "now")
    meta = b'{"versionId":"3","lastUpdated":"now","tag":[{"code":"a\\/b"}]}'
    assert made == b'{"resourceType":"Basic","id":"b","meta":%b,"n":1.10}' % meta


def test_a_meta_that_is_no_object_is_refused():
    with pytest.raises(Invalid):
        content_of({"resourceType": "Basic", "meta": "x"}, "b")
