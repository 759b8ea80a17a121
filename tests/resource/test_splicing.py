import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fhir_server.errors import Invalid
from fhir_server.resource.parsing import parse
from fhir_server.resource.splicing import splice, stamp
from tests.resource.json_text import Node, has_repeated_member, read, resources

META = '{"versionId":"7"}'

SPLICED = {
    "only the type": ('{"resourceType":"A"}', '{"resourceType":"A","id":"new","meta":M}'),
    "id and meta in front": (
        '{"resourceType":"A","id":"old","meta":{"tag":[{}]},"b":1.10}',
        '{"resourceType":"A","id":"new","meta":M,"b":1.10}',
    ),
    "id alone": ('{"resourceType":"A","id":"old","b":1}', '{"resourceType":"A","id":"new","meta":M,"b":1}'),
    "meta alone": ('{"resourceType":"A","meta":{},"b":1}', '{"resourceType":"A","id":"new","meta":M,"b":1}'),
    "meta last": (
        '{"resourceType":"A","id":"old","b":{"id":"x"},"meta":{}}',
        '{"resourceType":"A","id":"new","b":{"id":"x"},"meta":M}',
    ),
    "everything before the type": (
        '{"b":1,"meta":{},"id":"old","resourceType":"A"}',
        '{"b":1,"meta":M,"id":"new","resourceType":"A"}',
    ),
    "the type last and alone": ('{"b":1,"resourceType":"A"}', '{"b":1,"resourceType":"A","id":"new","meta":M}'),
    "blanks everywhere": (
        ' { "resourceType" :\n"A" , "id"\t: "old" ,\r\n "meta" : { } , "b" : [ 1 ] } ',
        ' { "resourceType" :\n"A" , "id"\t: "new" ,\r\n "meta" : M , "b" : [ 1 ] } ',
    ),
    "a contained meta": (
        '{"resourceType":"A","contained":[{"resourceType":"B","id":"b","meta":{"x":1}}],"meta":{"y":1}}',
        '{"resourceType":"A","id":"new","contained":[{"resourceType":"B","id":"b","meta":{"x":1}}],"meta":M}',
    ),
    "only a contained meta": (
        '{"resourceType":"A","contained":[{"meta":{"x":1}}]}',
        '{"resourceType":"A","id":"new","meta":M,"contained":[{"meta":{"x":1}}]}',
    ),
    "names spelled with escapes": (
        r'{"resource\u0054ype":"A","b":"meta","\u006deta":{},"i\u0064":"old"}',
        r'{"resource\u0054ype":"A","b":"meta","\u006deta":M,"i\u0064":"new"}',
    ),
    "strings that look like members": (
        r'{"resourceType":"A","b":"\"meta\":{}","c":"\"meta","meta":{"d":"}"}}',
        r'{"resourceType":"A","id":"new","b":"\"meta\":{}","c":"\"meta","meta":M}',
    ),
    "a string meta": (
        '{"resourceType":"A","b":"meta","meta":{}}',
        '{"resourceType":"A","id":"new","b":"meta","meta":M}',
    ),
    "an escaped id": (r'{"resourceType":"A","id":"\u0061"}', '{"resourceType":"A","id":"new","meta":M}'),
    "values of the wrong type": ('{"resourceType":"A","id":1,"meta":null}', '{"resourceType":"A","id":"new","meta":M}'),
    "letters beyond ASCII": (
        '{"resourceType":"A","é":"ệ😀","meta":{"tag":"ệ"},"ê":"ệ"}',
        '{"resourceType":"A","id":"new","é":"ệ😀","meta":M,"ê":"ệ"}',
    ),
}


@pytest.mark.parametrize(("before", "after"), SPLICED.values(), ids=SPLICED)
def test_id_and_meta_are_set_where_they_stand(before, after):
    raw = before.encode()
    assert splice(raw, parse(raw), "new", META.encode()).decode() == after.replace("M", META)


STAMPED = {
    "no meta": ('{"resourceType":"A"}', '{"versionId":"2","lastUpdated":"now"}'),
    "an empty meta": ('{"resourceType":"A","meta":{ }}', '{"versionId":"2","lastUpdated":"now" }'),
    "a profile": (
        '{"resourceType":"A","meta":{"profile": ["p"]}}',
        '{"versionId":"2","lastUpdated":"now","profile": ["p"]}',
    ),
    "server values sent by the client": (
        r'{"resourceType":"A","meta":{"versionId":"1","\u006castUpdated":"x","tag":[{"code":"\/","extension":[1.10]}]}}',
        r'{"versionId":"2","lastUpdated":"now","tag":[{"code":"\/","extension":[1.10]}]}',
    ),
    "server values alone": (
        '{"resourceType":"A","meta":{"lastUpdated" : "x" }}',
        '{"versionId":"2","lastUpdated":"now"}',
    ),
}


@pytest.mark.parametrize(("before", "meta"), STAMPED.values(), ids=STAMPED)
def test_meta_keeps_what_the_client_sent(before, meta):
    raw = before.encode()
    stamped = stamp(raw, parse(raw), "new", "2", "now").decode()
    assert stamped == f'{{"resourceType":"A","id":"new","meta":{meta}}}'


@pytest.mark.parametrize("meta", ["null", "[]", '"x"', "1"])
def test_a_meta_that_is_no_object_is_refused(meta):
    raw = f'{{"resourceType":"A","meta":{meta}}}'.encode()
    with pytest.raises(Invalid, match="meta must be"):
        stamp(raw, parse(raw), "a", "1", "now")


def others(node: Node) -> list[tuple[str, str]]:
    return [(spelling, value.text) for name, spelling, value in node.members if name not in ("id", "meta")]


@given(resources(), st.text(max_size=5))
def test_splice_changes_id_and_meta_only(text, resource_id):
    before = read(text)
    assume(not has_repeated_member(before))
    raw = text.encode()
    spliced = splice(raw, parse(raw), resource_id, META.encode()).decode()
    after = read(spliced)
    assert json.loads(spliced) == json.loads(text) | {"id": resource_id, "meta": json.loads(META)}
    assert others(after) == others(before)
    assert not has_repeated_member(after)


@given(resources())
def test_stamp_changes_id_and_two_members_of_meta_only(text):
    before = read(text)
    assume(not has_repeated_member(before))
    raw, sent = text.encode(), json.loads(text)
    stamped = stamp(raw, parse(raw), "a", "3", "now").decode()
    meta = sent.get("meta", {}) | {"versionId": "3", "lastUpdated": "now"}
    assert json.loads(stamped) == sent | {"id": "a", "meta": meta}
    assert others(read(stamped)) == others(before)


def test_every_official_example_is_spliced(r4_examples):
    for name, raw in r4_examples.items():
        body = parse(raw)
        spliced = splice(raw, body, "new", META.encode())
        assert parse(spliced) == body | {"id": "new", "meta": {"versionId": "7"}}, name
