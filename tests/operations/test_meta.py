import asyncio

import pytest

from fhir_server.errors import Invalid, NotFound
from fhir_server.operations.meta import OPERATIONS, added, deleted
from tests.operations.calling import parameters_of
from tests.operations.running import answered, asked, on_node

META, _, ADD, DELETE = OPERATIONS
TAG = {"system": "urn:tags", "code": "a"}
LABEL = {"system": "urn:labels", "code": "R"}
PATIENT = {
    "resourceType": "Patient", "id": "an", "meta": {"tag": [TAG]}, "extension": [
        {"url": "http://example.org/weight", "valueDecimal": 1.5},
    ],
}  # fmt: skip


def given(**meta):
    return parameters_of({"name": "meta", "valueMeta": meta})


def returned(answer):
    return answer["parameter"][0]["valueMeta"]


def test_labels_are_added_once_and_taken_away_again():
    async def changed(node):
        more = {**TAG, "display": "the same"}
        meta = returned(await answered(node, ADD, "Patient", "an", body=given(tag=[more], security=[LABEL])))
        assert (meta["tag"], meta["security"], meta["versionId"]) == ([TAG], [LABEL], "2")
        assert returned(await answered(node, META, "Patient", "an")) == meta
        meta = returned(await answered(node, DELETE, "Patient", "an", body=given(tag=[TAG], profile=["urn:none"])))
        assert "tag" not in meta
        assert meta["security"] == [LABEL]
        body = (await node.repository.read("Patient", "an")).body
        assert b'"valueDecimal":1.5' in body

    on_node([PATIENT], changed)


def test_changes_at_the_same_time_are_all_made():
    async def changed(node):
        tags = [{"system": "urn:tags", "code": str(number)} for number in range(6)]
        await asyncio.gather(*(asked(node, ADD, "Patient", "an", body=given(tag=[tag])) for tag in tags))
        meta = returned(await answered(node, META, "Patient", "an"))
        assert {tag["code"] for tag in meta["tag"]} == {"a", *"012345"}

    on_node([PATIENT], changed)


def test_nothing_else_of_meta_changes():
    own = {"versionId": "1", "source": "urn:a", "profile": ["p"]}
    assert added(own, {"versionId": "9", "profile": ["p", "q"], "source": "urn:b"}) == {**own, "profile": ["p", "q"]}
    assert deleted(own, {"versionId": "1", "profile": ["p"]}) == {"versionId": "1", "source": "urn:a"}


@pytest.mark.parametrize(
    ("body", "text"),
    [({"resourceType": "Parameters"}, "needs the parameter meta"), (given(tag=["a"]), "list of Codings")],
)
def test_what_cannot_be_added_is_said(body, text):
    with pytest.raises(Invalid, match=text):
        on_node([PATIENT], lambda node: asked(node, ADD, "Patient", "an", body=body))
    with pytest.raises(NotFound):
        on_node([], lambda node: asked(node, META, "Patient", "an"))
