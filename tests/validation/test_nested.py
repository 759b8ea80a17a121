import pytest

from tests.validation.profiled import Checked, resource

IMAGE = {"resourceType": "Binary", "id": "i", "contentType": "image/png"}


def narrative(inner):
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'}


@pytest.mark.parametrize(
    ("inner", "tied"),
    [('<img src="#i" alt="a"/>', True), ("<a href='#i'>a</a>", True), ('<a href="#j">a</a>', False), ("#i", False)],
)
def test_a_narrative_may_refer_to_a_contained_resource(inner, tied):
    body = resource("Composition", contained=[IMAGE], section=[{"text": narrative(inner)}])
    assert (Checked().texts(body) == []) is tied
