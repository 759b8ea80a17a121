"""Narratives hold what FHIR allows: well-formed XHTML, known names, nothing active, some content."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.xhtml import problems


def div(content: str, attributes: str = "") -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml"{attributes}>{content}</div>'


@pytest.mark.parametrize(
    "content",
    ["text", "<p>a <b>b</b></p>", '<img src="#a" alt=""/>', '<a href="https://example.org">x</a>', "&lt;script&gt;",
     '<table border="1"><tr><td style="color: red" colspan="2">1</td></tr></table>', "<!-- note -->text", "&#160;",
     '<a name="x">y</a>', '<span xml:lang="vi" lang="vi">z</span>', "<![CDATA[text]]>"],
)  # fmt: skip
def test_sound_narratives(content) -> None:
    assert problems(div(content)) == ()
    assert problems(div(content)) == ()


def test_a_prefix_is_as_good_as_a_default_namespace() -> None:
    assert problems('<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>') == ()


@pytest.mark.parametrize(
    ("content", "rule", "text"),
    [
        ("<script>x</script>", "txt-1", "script"),
        ("<form>x</form>", "txt-1", "form"),
        ("<iframe/>x", "txt-1", "iframe"),
        ("<p onclick='a()'>x</p>", "txt-1", "onclick"),
        ("<a href='javascript:a()'>x</a>", "txt-1", "Active"),
        ("<a href='java&#10;script:a()'>x</a>", "txt-1", "Active"),
        ("<a href=' JavaScript:a()'>x</a>", "txt-1", "Active"),
        ("<p style='width: expression(a())'>x</p>", "txt-1", "Active"),
        ("<svg xmlns='http://www.w3.org/2000/svg'/>x", "txt-1", "namespace"),
        ("", "txt-2", "neither text"),
        (" \n ", "txt-2", "neither text"),
        ("<!-- a > b -->", "txt-2", "neither text"),
        ("<p> </p>", "txt-2", "neither text"),
    ],
)
def test_rules_broken(content, rule, text) -> None:
    (problem,) = problems(div(content))
    assert problem.rule == rule
    assert text in problem.text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("text", "not well-formed"),
        ("<div>x</div>", "namespace"),
        ('<p xmlns="http://www.w3.org/1999/xhtml">x</p>', "div"),
        (div("<p>x"), "not well-formed"),
        (div("a&nbsp;b"), "&nbsp;"),
        (div("x") + div("y"), "not well-formed"),
        ('<!DOCTYPE d [<!ENTITY e "e">]>' + div("&e;"), "document type"),
        (div("<?php x ?>y"), "processing instruction"),
        (div("\ud800"), "cannot be encoded"),
        ("", "not well-formed"),
    ],
)
def test_what_is_no_narrative_at_all(body, text) -> None:
    (problem,) = problems(body)
    assert problem.rule is None
    assert text in problem.text


def test_tags_of_sound_narratives_vouch_only_for_themselves() -> None:
    assert problems(div("<p title='\"' lang=\"1>\" dir='a'>x</p><b>y</b>")) == ()
    assert problems(div("<p title='\"' lang=\"1>\" onclick='a()'>x</p>"))
    assert problems(div("<b>y</b><!-- <b> --><svg xmlns='http://www.w3.org/2000/svg'><b/></svg>"))
    assert problems(div("<b>y</p>"))
    assert problems(div("<h:b>y</h:b>"))


def test_findings_are_limited() -> None:
    assert len(problems(div("<script/>" * 1000 + "x"))) == 20


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_judged(body) -> None:
    assert problems(body)
    problems(div(body))
