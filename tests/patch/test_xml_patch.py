import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError, Invalid, TooCostly, TooLarge, Unprocessable
from fhir_server.patch import xml_patch
from fhir_server.patch.xml_patch import apply_xml_patch, patch_by_xml
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.xml_format import read_xml, write_xml
from tests.patch.patients import patients

DOCUMENT = b'<d xmlns="http://hl7.org/fhir">a<e t="1">x</e>b<e t="2"><g>y</g></e><!--c-->z</d>'
HEAD = '<diff xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml">'
PATIENT = parse_exact(
    b'{"resourceType":"Patient","id":"p","birthDate":"1980","name":[{"given":["A","B"],"family":"\\u0041\\/"}],'
    b'"_birthDate":{"id":"1"},"text":{"div":"<div xmlns=\'http://www.w3.org/1999/xhtml\'>a&nbsp;<br></br></div>",'
    b'"status":"generated"},"extension":[{"valueDecimal":1.10,"url":"http://a"},{"url":"b","valueDecimal":1E2}]}'
)


def diff(operations: str) -> bytes:
    return f"{HEAD}{operations}</diff>".encode()


def applied(operations: str, document: bytes = DOCUMENT) -> str:
    return apply_xml_patch(document, diff(operations)).decode().replace(' xmlns="http://hl7.org/fhir"', "")


@pytest.mark.parametrize(
    ("operations", "document"),
    [
        ('<add sel="d">1<n/>2</add>', '<d>a<e t="1">x</e>b<e t="2"><g>y</g></e><!--c-->z1<n/>2</d>'),
        ('<add sel="d" pos="prepend">1<n/>2</add>', '<d>1<n/>2a<e t="1">x</e>b<e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<add sel="d/e[1]" pos="before">1<n/>2</add>', '<d>a1<n/>2<e t="1">x</e>b<e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<add sel="d/e[2]" pos="before">1<n/>2</add>', '<d>a<e t="1">x</e>b1<n/>2<e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<add sel="d/e[1]" pos="after">1<n/>2</add>', '<d>a<e t="1">x</e>1<n/>2b<e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<add sel="d/e[1]" pos="after">1</add>', '<d>a<e t="1">x</e>1b<e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<add sel="/d/*[g=\'y\']" type="@u">1</add>', '<d>a<e t="1">x</e>b<e t="2" u="1"><g>y</g></e><!--c-->z</d>'),
        ('<add sel="d/comment()" pos="after"><n/></add>', '<d>a<e t="1">x</e>b<e t="2"><g>y</g></e><!--c--><n/>z</d>'),
        ('<remove sel="d/e[1]"/>', '<d>ab<e t="2"><g>y</g></e><!--c-->z</d>'),
        ("<remove sel=\"d/f:e[@t='2'][.='y']\"/>", '<d>a<e t="1">x</e>b<!--c-->z</d>'),
        ('<remove sel="d/e[2]/@t"/>', '<d>a<e t="1">x</e>b<e><g>y</g></e><!--c-->z</d>'),
        ('<remove sel="d/text()[2]"/>', '<d>a<e t="1">x</e><e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<replace sel="d/e[1]"><n/></replace>', '<d>a<n/>b<e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<replace sel="d/e/text()">1</replace>', '<d>a<e t="1">1</e>b<e t="2"><g>y</g></e><!--c-->z</d>'),
        ('<replace sel="d/comment()[1]"><!--n--></replace>', '<d>a<e t="1">x</e>b<e t="2"><g>y</g></e><!--n-->z</d>'),
        ('<replace sel="d"><n/></replace>', "<n/>"),
        ('<remove sel="d/e[1]"/><remove sel="d/e[1]"/><remove sel="d/comment()"/>', "<d>abz</d>"),
    ],
)
def test_each_operation_changes_its_node_and_no_other(operations, document):
    assert applied(operations) == document


def test_white_space_goes_where_it_is_named_and_text_never():
    document = b'<d xmlns="http://hl7.org/fhir"> <e/> <g/>a</d>'
    assert applied('<remove sel="d/e" ws="both"/>', document) == "<d><g/>a</d>"
    assert applied('<remove sel="d/e" ws="after"/>', document) == "<d> <g/>a</d>"
    with pytest.raises(Unprocessable, match="there is text"):
        applied('<remove sel="d/g" ws="after"/>', document)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ('<remove sel="d/x"/>', "it selects nothing: no element meets 'x'"),
        ('<remove sel="d/e"/>', "it selects 2 nodes, and must select one"),
        ('<remove sel="d/@a"/>', "there is no such attribute a"),
        ('<remove sel="d"/>', "the root element cannot be removed"),
        ('<add sel="d/e[1]/@t">1</add>', "it selects no element"),
        ('<add sel="d/e[1]" type="@t">1</add>', "the element already has the attribute t"),
        (
            '<add sel="d" type="namespace::h">urn:x</add><add sel="d" type="namespace::h">urn:x</add>',
            "already declared",
        ),
        ('<add sel="d" pos="before"><n/></add>', "nothing can stand beside the root element"),
        ('<add sel="d/comment()"><n/></add>', "a comment can hold nothing"),
    ],
)
def test_what_the_document_does_not_allow_is_unprocessable(operation, text):
    with pytest.raises(Unprocessable, match=r"Operation \[") as failure:
        applied(operation)
    assert text in failure.value.issues[0].text


@pytest.mark.parametrize(
    "selector",
    [
        "//e", "d//e", "d/e[last()]", "d/e[position()=1]", "d/e[count(//*)=1]", "d/..", "id('a')", "d/e[@t]", "d/", "",
        "d/e[1", "d/e[@t='1' or 1]", "d/namespace::h", "d/processing-instruction()", "d|d", "d/x:e", "d/e['a'", "/",
        "d/@t/e", "d/text()/e", "@t", "text()", "d/e[0]", "string(d)", "d" * 5000,
    ],
)  # fmt: skip
def test_a_selector_beyond_the_rfc_is_invalid(selector):
    with pytest.raises(Invalid, match="sel ") as failure:
        apply_xml_patch(DOCUMENT, diff(f'<remove sel="{selector}"/>'))
    assert "[@id='a']" in (failure.value.issues[0].fix or "")


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        (b"<diff/>", "no operations"),
        (b"<other/>", "root element of an XML Patch is <diff>"),
        (b"<!DOCTYPE diff [<!ENTITY a 'b'>]><diff/>", "The patch has a DOCTYPE"),
        (b"<diff><remove sel='d'>", "The patch is not XML"),
        (b"\xff", "The patch is not UTF-8"),
        (diff("<remove/>"), "it has no attribute sel"),
        (diff("<move sel='d'/>"), "<move> is no operation"),
        (diff("<remove sel='d' pos='before'/>"), "the attribute pos is not allowed"),
        (diff("<add sel='d' pos='first'/>"), "pos must be one of"),
        (diff("<add sel='d' type='x'/>"), "type must be"),
        (diff("<add sel='d' type='@1'/>"), "is not the name of an attribute"),
        (diff("<add sel='d' type='@u'><n/></add>"), "it must hold only text"),
        (diff("<add sel='d' type='namespace::p'></add>"), "the URI of the namespace"),
        (diff("<add sel='d' type='namespace::p'>%</add>"), "cannot be declared"),
        (diff("<add sel='d' type='namespace::xml'>urn:x</add>"), "XML's own"),
        (diff("<replace sel='d'><n/><n/></replace>"), "one element to replace the element"),
        (diff("<replace sel='d/comment()'><n/></replace>"), "one comment to replace the comment"),
        (diff("<remove sel='d/e[1]' ws='all'/>"), "ws must be one of"),
        (diff("<remove sel='d/e[1]'>x</remove>"), "must be empty"),
    ],
)
def test_what_is_no_patch_is_invalid(patch, text):
    with pytest.raises(Invalid) as failure:
        apply_xml_patch(DOCUMENT, patch)
    assert text in failure.value.issues[0].text


def test_names_without_prefix_are_in_the_default_namespace_of_the_patch():
    with pytest.raises(Unprocessable) as failure:
        apply_xml_patch(DOCUMENT, b"<diff><remove sel='d/e[1]'/></diff>")
    assert "write f: before it" in (failure.value.issues[0].fix or "")
    apply_xml_patch(DOCUMENT, b"<diff><remove sel='f:d/f:e[1]'/></diff>")
    apply_xml_patch(DOCUMENT, b"<diff xmlns:q='http://hl7.org/fhir'><remove sel='q:d/q:*[1]'/></diff>")


def test_what_a_patch_visits_and_how_deep_it_builds_is_bounded(monkeypatch):
    deep = "<n>" * 120 + "</n>" * 120
    with pytest.raises(TooLarge, match="nested more than 200 levels"):
        applied(f'<add sel="d/e[1]">{deep}</add><add sel="d/e[1]{"/n" * 110}">{deep}</add>')
    monkeypatch.setattr(xml_patch, "_MOST_VISITED", 50)
    with pytest.raises(TooCostly):
        applied("<add sel='d' type='@a'>1</add><remove sel='d/@a'/>" * 30)


def patched(operations: str, resource: dict[str, Any] = PATIENT) -> dict[str, Any]:
    return patch_by_xml(diff(operations), resource, r4())


def test_what_is_not_patched_keeps_its_spelling_order_and_narrative():
    found = patched('<replace sel="Patient/name/given[2]/@value">C</replace>')
    assert dump_exact(found) == dump_exact(PATIENT).replace(b'"B"', b'"C"')


def test_what_is_patched_has_the_spelling_of_the_patch():
    found = patched('<replace sel="Patient/extension[1]/valueDecimal/@value">1.1</replace><remove sel="Patient/text"/>')
    assert b'"extension":[{"valueDecimal":1.1,"url":"http://a"},{"url":"b","valueDecimal":1E2}]' in dump_exact(found)
    assert "text" not in found


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ('<add sel="Patient"><active value="true"/></add>', "the element active must stand further in front"),
        ('<add sel="Patient"><color value="red"/></add>', "there is no element color"),
        ('<add sel="Patient"><x xmlns="urn:x"/></add>', "there is no element x"),
        ('<add sel="Patient">text</add>', "text is not allowed here"),
        ('<replace sel="Patient"><n/></replace>', "The root element must be a resource"),
    ],
)
def test_a_result_that_is_no_resource_is_unprocessable(operation, text):
    with pytest.raises(Unprocessable) as failure:
        patched(operation)
    assert text in failure.value.issues[0].text


@given(patients(), patients())
def test_a_difference_applied_gives_the_target(source, target):
    wanted = etree.fromstring(write_xml(target, r4()))
    removals = "".join(
        f'<remove sel="f:Patient/f:{etree.QName(child).localname}[1]"/>'
        for child in etree.fromstring(write_xml(source, r4()))
    )
    additions = "".join(f'<add sel="f:Patient">{etree.tostring(child).decode()}</add>' for child in wanted)
    found = patch_by_xml(diff(removals + additions), source, r4())
    assert found == read_xml(write_xml(target, r4()), r4())[0]


PIECES = st.sampled_from(
    ["Patient", "f:Patient", "name", "f:name", "given", "[1]", "[2]", "[@id='1']", "/", "@value", "text()", "*", "//",
     "birthDate", "extension", "[.='']", "comment()", "h:div", "f:text", "x:"]
)  # fmt: skip
SELECTORS = st.lists(PIECES, max_size=7).map("".join) | st.sampled_from(
    ["Patient", "Patient/name", "Patient/text/h:div", "Patient/birthDate/@value", "Patient/name/given[1]"]
)
CONTENTS = st.sampled_from(
    [
        "",
        "a",
        "<n/>",
        "<active value='true'/>",
        "<!--c-->",
        "<h:div>x</h:div>",
        "<name><given value=' '/></name>",
        "&#9;",
    ]
)
PLACES = st.sampled_from(
    ["", ' pos="before"', ' pos="after"', ' pos="prepend"', ' type="@id"', ' type="@xml:lang"', ' type="namespace::p"',
     ' type="@p:a"']
)  # fmt: skip
BODIES = st.one_of(
    st.builds('<remove sel="{}"/>'.format, SELECTORS),
    st.builds('<replace sel="{}">{}</replace>'.format, SELECTORS, CONTENTS),
    st.builds('<add sel="{}"{}>{}</add>'.format, SELECTORS, PLACES, CONTENTS),
)


@given(patients() | st.just(PATIENT), st.lists(BODIES, max_size=4))
def test_any_patch_is_applied_or_refused_and_leaves_its_input_alone(resource, bodies):
    before = copy.deepcopy(resource)
    with suppress(FhirError):
        patch_by_xml(diff("".join(bodies)), resource, r4())
    assert dump_exact(resource) == dump_exact(before)
