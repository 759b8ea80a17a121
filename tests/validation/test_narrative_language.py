import pytest

from fhir_server.validation.narrative_language import language_sections
from tests.validation.profiled import Checked, element, profile, resource

CONTROL = "http://hl7.org/fhir/StructureDefinition/narrative-language-control"


def narrative(*languages):
    sections = "".join(f'<div lang="{code}" xml:lang="{code}">a</div>' for code in languages)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{sections or "a"}</div>'}


@pytest.mark.parametrize(
    ("control", "languages", "refused"),
    [
        (["_no"], [], False),
        (["_no"], ["vi"], True),
        (["_yes"], ["vi"], False),
        (["_yes"], [], True),
        (["_resource"], ["en", "vi"], False),
        (["_resource"], ["en", "fr"], True),
        (["vi", "en"], ["vi", "en"], False),
        (["vi", "en"], ["vi"], True),
    ],
)
def test_the_languages_of_a_narrative_are_controlled(control, languages, refused):
    codes = [{"url": CONTROL, "valueCode": code} for code in control]
    checked = Checked(profile("p", "Patient", element("Patient.text", extension=codes)))
    assert bool(checked.texts(resource("Patient", language="vi", text=narrative(*languages)))) is refused


def test_only_sections_right_below_the_narrative_count():
    assert language_sections('<div><p lang="en">a</p><p><b lang="fr">c</b></p><p>d</p></div>') == ["en"]


def test_a_narrative_that_cannot_be_read_has_no_languages():
    assert language_sections("<div>&nothing;</div>") is None
