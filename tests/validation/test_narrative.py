"""Narratives: harmless XHTML with content at write depth, in its right place at full depth."""

from typing import Any

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, is_refused, issues, only_full, validator, warnings

NAMESPACE = 'xmlns="http://www.w3.org/1999/xhtml"'


def told(content, **members):
    """A Patient with a narrative that holds this."""
    return resource("Patient", text={"status": "generated", "div": f"<div {NAMESPACE}>{content}</div>"}, **members)


@pytest.mark.parametrize(
    "content",
    [
        "text",
        "<p>Mạch 72 &amp; đều</p>",
        '<img src="x.png" alt="x"/>',
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>",
        "<table><caption>c</caption><colgroup><col/></colgroup><tr><td colspan='2'>b</td></tr></table>",
        "<ul><li>a<ul><li>b</li></ul></li></ul>",
        "<dl><dt>a</dt><dd>b</dd></dl>",
        "<blockquote><p>a</p></blockquote>",
        '<p style="color: red" class="a" id="b" lang="vi" xml:lang="vi">a</p>',
        '<a href="https://example.org/a?b=1&amp;c=2">a</a>',
        '<a href="mailto:a@b.c">a</a>',
        '<a name="x">a</a>',
        '<img src="data:image/png;base64,AAAA" alt="a"/>',
        "<!-- a > b -->text",
        "a > b",
        "<b>a <i>b</i></b>",
    ],
)
def test_right(content):
    for _ in range(2):  # the second time the tags are known
        assert errors(told(content)) == []


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "txt-2"),
        (" <p> </p> ", "txt-2"),
        ("<script>x</script>", "txt-1"),
        ('<p onclick="x">a</p>', "txt-1"),
        ('<a href="javascript:x">a</a>', "txt-1"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>a', "txt-1"),
        ("<form>a</form>", "txt-1"),
        ('<a target="_blank" href="https://a.test">a</a>', "txt-1"),
        ("<p>a", None),
        ("a & b", None),
        ("&reg;", None),
        ("<?php x?>a", None),
    ],
)
def test_refused(content, rule):
    body = told(content)
    assert is_refused(body)
    assert rule in {issue.rule for issue in issues(body)}


@pytest.mark.parametrize("div", ["text", "<div>no namespace</div>", f"<p {NAMESPACE}>a</p>", "<!DOCTYPE div><div/>"])
def test_a_narrative_is_one_div(div):
    assert is_refused(resource("Patient", text={"status": "generated", "div": div}))


@pytest.mark.parametrize(
    "content",
    [
        "<u>a</u>",
        "<table height='3'><tr><td>a</td></tr></table>",
        "<table><td>a</td></table>",
        "<table>a<tr><td>b</td></tr></table>",
        "<table><tr><td>b</td></tr>a</table>",
        "<tr><td>a</td></tr>",
        "<li>a</li>",
        "<ul><p>a</p></ul>",
        "<ul><li>a</li>b</ul>",
        "<dl><dd><p>a</p><ul><li>b</li></ul></dd></dl>",
        "<p>a<ul><li>b</li></ul></p>",
        "<p>a<p>b</p></p>",
        "<p><blockquote>a</blockquote></p>",
        "<span><table><tr><td>a</td></tr></table></span>",
        "<h1><div>a</div></h1>",
        "<b>a<b>b</b></b>",
        "<br>a</br>",
        '<a href="">a</a>',
        '<a href="a b">a</a>',
        '<a href="urn:uuid:1">a</a>',
        '<a href="cid:1">a</a>',
        '<img src="data:image/png;base64,A" alt="a"/>',
        '<img src="data:AAAA" alt="a"/>',
    ],
)
def test_what_is_harmless_but_out_of_place_is_an_error_at_full_depth(content):
    assert len(only_full(told(content))) == 1


def test_tags_that_are_known_do_not_hide_what_is_wrong_beside_them():
    assert errors(told("<ul><li>a</li></ul>")) == []
    assert errors(told("<ul>x<li>a</li></ul>")) != []
    assert errors(told("<ul><li>& a</li></ul>")) != []
    assert errors(told("<ul><li>\x01</li></ul>")) != []
    assert errors(told("<ul><li> </li></ul>")) != []
    assert errors(told('<p title=">" onclick="x">a</p>')) != []
    assert errors(told('<p title=">">a</p>')) == []
    assert errors(told('<p title=">" onclick="x">a</p>')) != []


def test_contained_narratives_are_judged_as_well():
    inner = told("<script>x</script>", id="a")
    body = resource("Patient", contained=[inner], link=[{"other": {"reference": "#a"}, "type": "seealso"}])
    assert is_refused(body)


def test_a_link_within_the_narrative_that_leads_nowhere_is_a_warning():
    assert len(warnings(told('<a href="#here">a</a>'))) == 1
    assert warnings(told('<a href="#here">a</a><p id="here">b</p>')) == []
    assert warnings(told('<a href="#here">a</a>', name=[{"id": "here", "text": "b"}])) == []


def test_a_narrative_over_a_megabyte_is_no_string():
    assert errors(told("a" * 1_100_000)) == []


def test_a_narrative_that_is_no_text_is_refused():
    wrong: tuple[Any, ...] = (5, {}, [], None, "")
    for div in wrong:
        body = resource("Patient", text={"status": "generated", "div": div})
        assert not validator("full").validate(body).is_valid
        assert is_refused(body)
