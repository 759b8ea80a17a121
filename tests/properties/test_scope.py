"""Whatever scopes there are: a smaller set never grants more."""

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.scope import LETTERS, PLAIN, Scope, ScopeError, Scopes, parse_scopes

TYPES = ("Patient", "Observation", "Encounter", "*")
letters = st.sets(st.sampled_from(LETTERS), min_size=1).map(lambda chosen: "".join(sorted(chosen, key=LETTERS.index)))
scope = st.builds(
    Scope,
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(TYPES),
    letters,
    st.sampled_from(["", "", "category=a", "status=final", "category=a&status=final"]),
)
scope_sets = st.builds(
    lambda resources, plain: parse_scopes(" ".join([*plain, *map(str, resources)])),
    st.lists(scope, max_size=6),
    st.lists(st.sampled_from(PLAIN), unique=True, max_size=3),
)
asked_about = st.tuples(st.sampled_from(["Patient", "Observation", "Encounter", "Basic"]), st.sampled_from(LETTERS))


@given(scope_sets)
def test_what_is_written_is_read_again(scopes: Scopes):
    assert parse_scopes(scopes.text) == scopes


@given(scope_sets, st.data(), asked_about)
def test_a_set_never_grants_more_when_a_scope_is_removed(scopes: Scopes, data: st.DataObject, about: tuple[str, str]):
    written = list(scopes)
    removed = data.draw(st.sets(st.sampled_from(written))) if written else set()
    fewer = scopes.without(removed)
    assert set(fewer.granting(*about)) <= set(scopes.granting(*about))
    assert scopes.covers(fewer)


@given(scope_sets, scope_sets, asked_about)
def test_what_two_sets_have_in_common_is_in_both(asked: Scopes, allowed: Scopes, about: tuple[str, str]):
    both = asked.narrowed(allowed)
    for each in both.granting(*about):
        for scopes in (asked, allowed):
            conditions = [
                set(filter(None, one.query.split("&")))
                for one in scopes.granting(*about)
                if one.context == each.context
            ]
            # Its conditions are those of a scope of each set, or more.
            assert any(condition <= set(each.query.split("&")) for condition in conditions)


@given(scope_sets, scope_sets)
def test_a_set_that_is_covered_stays_as_it_is(asked: Scopes, allowed: Scopes):
    if allowed.covers(asked):
        assert asked.narrowed(allowed) == asked


@given(st.text(max_size=60))
def test_any_text_is_scopes_or_is_refused(text: str):
    try:
        scopes = parse_scopes(text)
    except ScopeError:
        return
    assert parse_scopes(scopes.text) == scopes
