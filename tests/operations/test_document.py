from typing import Any

import pytest

from fhir_server.errors import Unprocessable
from fhir_server.operations.document import OPERATION
from tests.operations.calling import parameters_of
from tests.operations.running import answered, asked, keys, on_node

COMPOSITION: dict[str, Any] = {
    "resourceType": "Composition", "id": "minutes", "status": "final", "title": "Minutes", "date": "2024-01-01",
    "type": {"text": "minutes"}, "subject": {"reference": "Patient/an"},
    "author": [{"reference": "Practitioner/doctor"}],
    "section": [{"title": "Findings", "text": {
        "status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">none</div>',
    }, "entry": [{"reference": "Condition/flu"}]}],
}  # fmt: skip
RECORD: list[dict[str, Any]] = [
    COMPOSITION,
    {"resourceType": "Patient", "id": "an"},
    {"resourceType": "Practitioner", "id": "doctor"},
    {"resourceType": "Condition", "id": "flu", "subject": {"reference": "Patient/an"}, "asserter": {
        "reference": "Practitioner/other"}},
    {"resourceType": "Practitioner", "id": "other"},
]  # fmt: skip


def test_a_document_holds_the_composition_first_and_all_that_it_needs():
    bundle = on_node(RECORD, lambda node: answered(node, OPERATION, "Composition", "minutes"))
    assert bundle["type"] == "document"
    assert keys(bundle)[0] == "Composition/minutes"
    assert set(keys(bundle)[1:]) == {"Patient/an", "Practitioner/doctor", "Condition/flu", "Practitioner/other"}
    assert bundle["identifier"]["value"].startswith("urn:uuid:")
    assert bundle["timestamp"]
    assert bundle["entry"][1]["fullUrl"].startswith("http://example.org/fhir/")


def test_it_is_named_by_the_version_and_can_be_stored():
    async def persisted(node):
        first = await answered(node, OPERATION, "Composition", "minutes")
        body = parameters_of({"name": "persist", "valueBoolean": True})
        reply = await asked(node, OPERATION, "Composition", "minutes", body=body)
        assert reply.version is not None
        stored = await node.repository.read("Bundle", reply.version.id)
        assert reply.location == f"Bundle/{stored.id}/_history/1"
        assert reply.body == stored.body
        assert first["identifier"]["value"].encode() in stored.body

    on_node(RECORD, persisted)


def test_a_document_that_would_be_incomplete_is_refused():
    with pytest.raises(Unprocessable, match="Condition/flu"):
        on_node(
            [COMPOSITION, *RECORD[1:3]],
            lambda node: answered(node, OPERATION, "Composition", "minutes"),
            referential_integrity=False,
        )
