"""What Consents say is in the same order, whichever way it came about."""

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.consent import Directive
from fhir_server.access.standing import NEVER, Directives, Standing
from tests.properties.test_access import directives as directive

changes = st.lists(st.tuples(st.sampled_from("abcd"), st.none() | directive), max_size=12)


@given(changes, st.integers(-10, 3000))
def test_changes_one_by_one_lead_where_all_at_once_lead(steps, now):
    made = Directives()
    said: dict[str, Directive] = {}
    for consent, stated in steps:
        made.put(consent, stated)
        said.pop(consent, None)
        if stated is not None:
            said[consent] = stated
    whole = Directives(said.values())
    assert list(made) == list(whole) == list(said.values())
    for patient in {each.patient for _, each in steps if each is not None}:
        assert made.of_patient(patient) == whole.of_patient(patient)
        assert all(each.patient == patient for each in made.of_patient(patient))
    assert list(made.denials) == [each for each in said.values() if each.denies]
    moments = [moment for each in said.values() for moment in each.moments() if moment > now]
    assert whole.next_moment(now) == min(moments, default=NEVER)
    assert made.next_moment(now) <= whole.next_moment(now)
    assert Standing(now, directives=made).changes_at <= Standing(now, directives=said.values()).changes_at
