import pytest

from fhir_server.errors import Invalid, NotFound, Unprocessable
from fhir_server.operations.subsumes import OPERATION
from tests.operations.calling import call, node, value
from tests.terminology.terminologies import code_system, cs

TREE = code_system("tree", {"code": "a", "concept": [{"code": "b", "concept": [{"code": "c"}]}, {"code": "d"}]})
PART = code_system("part", "a", "b", content="fragment")
NODE = node(TREE, PART, stored=({**TREE, "id": "tree"},))


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [("a", "c", "subsumes"), ("c", "a", "subsumed-by"), ("b", "b", "equivalent"), ("c", "d", "not-subsumed")],
)
def test_the_outcome_says_which_is_above(first, second, outcome):
    assert value(call(OPERATION, NODE, system=cs("tree"), codeA=first, codeB=second), "outcome") == outcome
    assert value(call(OPERATION, NODE, instance="tree", codeA=first, codeB=second), "outcome") == outcome
    assert value(call(OPERATION, NODE, codingA=f"{cs('tree')}|{first}", codeB=second), "outcome") == outcome


@pytest.mark.parametrize(
    ("query", "failure", "text"),
    [
        ({"system": "urn:none", "codeA": "a", "codeB": "b"}, NotFound, "urn:none is not known"),
        ({"system": cs("tree"), "codeA": "a", "codeB": "z"}, NotFound, "z is not in"),
        ({"codeA": "a", "codeB": "b"}, Invalid, "needs the system"),
        ({"system": cs("tree"), "codeA": "a"}, Invalid, "codeB or codingB"),
        ({"system": cs("tree"), "codingA": "urn:other|a", "codeB": "a"}, Invalid, "one system"),
        ({"system": cs("part"), "codeA": "a", "codeB": "b"}, Unprocessable, "not known here"),
    ],
)
def test_what_cannot_be_compared_is_said(query, failure, text):
    with pytest.raises(failure, match=text):
        call(OPERATION, NODE, **query)
