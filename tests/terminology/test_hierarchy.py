from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.code_system import code_system_from
from fhir_server.terminology.hierarchy import Hierarchy

CODES = "abcdefgh"
links = st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)), max_size=20)


def hierarchy(pairs):
    """The hierarchy of pairs of parent and child, told in turns by the one and by the other."""
    properties: dict[str, list[dict[str, str]]] = {code: [] for code in CODES}
    for place, (parent, child) in enumerate(pairs):
        owner, name, other = (parent, "child", child) if place % 2 else (child, "parent", parent)
        properties[owner].append({"code": name, "valueCode": other})
    concepts = [{"code": code, "property": stated} for code, stated in properties.items()]
    return Hierarchy(code_system_from({"url": "http://example.org", "concept": concepts}))


@given(links)
def test_what_is_above_has_it_below(pairs):
    tree = hierarchy(pairs)
    for code in CODES:
        assert all(code in tree.descendants(above) for above in tree.ancestors(code))
        assert all(code in tree.ancestors(below) for below in tree.descendants(code))


@given(links)
def test_a_link_is_followed_at_any_distance(pairs):
    tree = hierarchy(pairs)
    for parent, child in pairs:
        assert {child} | tree.descendants(child) <= tree.descendants(parent)
