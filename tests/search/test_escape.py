from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.escape import escaped, split, unescaped


@given(st.lists(st.text(alphabet=st.sampled_from("a\\,|$ é")), min_size=1), st.sampled_from(",|$"))
def test_what_is_escaped_comes_back_from_between_separators(parts, separator):
    written = separator.join(map(escaped, parts))
    assert [unescaped(part) for part in split(written, separator)] == parts


def test_a_backslash_before_anything_else_stands_for_itself():
    assert unescaped(r"a\b\,c\\d") == r"a\b,c\d"
    assert split("a\\", ",") == ["a\\"]


def test_parts_keep_their_escapes_for_the_next_separator():
    assert split(r"a\,b|c\|d,e", ",") == [r"a\,b|c\|d", "e"]
