"""The decision about access: both of its forms agree, and nothing that is taken away lets anybody see more."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.access.caller import Caller
from fhir_server.access.consent import Directive, Provision
from fhir_server.access.decision import Places, Sight, condition, decide
from fhir_server.access.grant import Glass, Grant
from fhir_server.access.label import Label
from fhir_server.access.part import of_rows
from fhir_server.access.role import BY_CODE
from fhir_server.access.scope import Scope, Scopes
from fhir_server.access.standing import Standing
from fhir_server.search.plan import Not, Operator, Present, Row, Test
from fhir_server.store.pending import holds

FACILITIES = ("station", "hub", "province", "ward")
PATIENTS = ("p1", "p2", "p3")
KINDS = ("Observation", "Patient", "Task", "Organization", "MeasureReport", "Encounter", "Consent", "ServiceRequest")
LETTERS = "cruds"
MARKS = ("PSY", "HIV")
IDS = ("a", "b", *PATIENTS)
CODES = st.sampled_from("xy")
YEARS = st.sampled_from((None, 2025, 2026, 2027))
OWNER, SUBJECT, ADDRESSEE, CODE, SECURITY, DATE = 16, 800, 808, 816, 824, 832
PLACES = Places(OWNER, (SUBJECT,), (ADDRESSEE,))
REFERENCES = (*(f"Organization/{each}" for each in FACILITIES), "Practitioner/d")

some = st.lists
facility, patient = st.sampled_from(FACILITIES), st.sampled_from(PATIENTS)
labels = st.builds(
    Label,
    some(facility, max_size=2, unique=True).map(tuple),
    some(patient, max_size=2, unique=True).map(tuple),
    some(st.sampled_from(REFERENCES), max_size=2, unique=True).map(tuple),
    some(st.sampled_from(MARKS), max_size=1).map(tuple),
)
scopes = st.builds(
    Scope,
    st.sampled_from(("patient", "user", "system")),
    st.sampled_from((*KINDS, "*")),
    some(st.sampled_from(LETTERS), min_size=1, unique=True).map(lambda each: "".join(sorted(each))),
    st.sampled_from(("", "", "code=x")),
)
callers = st.builds(
    Caller,
    st.sampled_from(("person", "client")),
    st.sampled_from(("ann", "bob")),
    some(scopes, max_size=3).map(lambda each: Scopes(tuple(each))),
    some(st.sampled_from(tuple(BY_CODE)), max_size=2).map(frozenset),
    st.sampled_from((None, "Practitioner/d", "Patient/p1")),
    some(facility, max_size=2, unique=True).map(tuple),
    st.none() | patient,
    st.none() | st.sampled_from(IDS),
    purpose=st.sampled_from(("TREAT", "PUBHLTH")),
)
moments = st.sampled_from((0.0, 50.0, 100.0, 150.0, 200.0))
simple = st.builds(
    Provision,
    st.sampled_from(("permit", "deny")),
    st.sampled_from((float("-inf"), 0.0, 100.0)),
    st.sampled_from((float("inf"), 50.0, 200.0)),
    some(st.sampled_from(REFERENCES), max_size=1).map(frozenset),
    some(st.sampled_from(("TREAT", "PUBHLTH")), max_size=1).map(frozenset),
    some(st.sampled_from(KINDS), max_size=1).map(frozenset),
    some(st.sampled_from(MARKS), max_size=1).map(frozenset),
    some(st.tuples(st.sampled_from(KINDS), st.sampled_from(IDS)), max_size=1).map(frozenset),
    st.just(()),
    some(CODES, max_size=1).map(frozenset),
    st.sampled_from(((None, None), (None, None), ("2026", None), (None, "2026"), ("2026", "2026"))),
    some(st.sampled_from(("access", "disclose", "collect", "correct")), max_size=1).map(frozenset),
)
provisions = st.builds(lambda outer, inner: replace(outer, exceptions=tuple(inner)), simple, some(simple, max_size=2))
directives = st.builds(Directive, patient, some(facility, max_size=2).map(frozenset), provisions)
grants = st.builds(
    Grant,
    facility,
    patient,
    some(st.sampled_from(REFERENCES), min_size=1, max_size=1).map(frozenset),
    some(st.tuples(st.sampled_from(KINDS), st.sampled_from(IDS)), max_size=1).map(frozenset),
    st.sampled_from((float("inf"), 50.0)),
)
glasses = st.builds(Glass, patient, st.sampled_from(("ann", "bob")), st.just(0.0), st.sampled_from((60.0, 300.0)))
standings = st.builds(
    Standing,
    moments,
    st.dictionaries(facility, facility, max_size=3),
    some(grants, max_size=3).map(tuple),
    some(directives, max_size=2).map(tuple),
    some(glasses, max_size=1).map(tuple),
    st.booleans(),
)


def rows_of(kind, label, code, year):
    """The index rows that a resource with this label has."""
    return [
        *((OWNER, owner, kind) for owner in label.owners),
        *((SUBJECT, each, "Patient") for each in label.patients),
        *((ADDRESSEE, each.partition("/")[2], each.partition("/")[0]) for each in label.addressees),
        *((SECURITY, mark, "") for mark in label.marks),
        (CODE, code, ""),
        *([(DATE, "", year)] if year else []),
    ]


COMPARED: dict[str, Operator] = {"ge": ">=", "le": "<=", "lt": "<", "gt": ">"}


def search(query):
    name, _, value = query.partition("=")
    if name == "_security":
        return Row(SECURITY, (Test("v", "=", value),))
    number = CODE if "code" in name else DATE
    if name.endswith(":missing"):
        return Present(number) if value == "false" else Not(Present(number))
    if number == CODE:
        return Row(CODE, (Test("v", "=", value),))
    return Row(DATE, (Test("x", COMPARED[value[:2]], int(value[2:])),))


def sees(sight: Sight | None, label, resource_id, code, year=2026):
    if sight is None:
        return False

    def finds(part, surely):
        rows = rows_of(sight.kind, label, code, year)
        return holds(of_rows(part, sight.kind, search, surely=surely), resource_id, rows)

    if not sight.admits(label, resource_id, finds):
        return False
    return any(query in ("", f"code={code}") for query in sight.queries(label))


def own(label, kind, resource_id):
    """A Patient is in its own compartment alone."""
    return label._replace(patients=(resource_id,)) if kind == "Patient" else label


@settings(max_examples=600, deadline=None)
@given(
    callers, standings, st.sampled_from(KINDS), st.sampled_from(LETTERS), labels, st.sampled_from(IDS), CODES, YEARS
)  # fmt: skip
def test_a_search_finds_what_a_read_shows(caller, standing, kind, letter, label, resource_id, code, year):
    label = own(label, kind, resource_id)
    sight = decide(caller, standing, kind, letter)
    if sight is None:
        return

    def of(part, surely):
        return of_rows(part, kind, search, surely=surely)

    found = holds(condition(sight, PLACES, search, of), resource_id, rows_of(kind, label, code, year))
    assert found == sees(sight, label, resource_id, code, year)


def less(caller, standing):
    """Pairs of caller and standing, and the same with one thing taken away."""
    # A denial may be about one facility alone: who does not act for it any more is not denied.
    undenied = replace(standing, directives=tuple(each for each in standing.directives if not each.denies))
    whole = caller, standing
    for role in caller.roles:
        yield whole, (replace(caller, roles=caller.roles - {role}), standing)
    for each in caller.scopes.resources:
        kept = tuple(other for other in caller.scopes.resources if other is not each)
        yield whole, (replace(caller, scopes=Scopes(kept)), standing)
    for each in caller.organizations:
        kept = tuple(other for other in caller.organizations if other != each)
        yield (caller, undenied), (replace(caller, organizations=kept), undenied)
    for each in standing.grants:
        kept = tuple(other for other in standing.grants if other is not each)
        yield whole, (caller, replace(standing, grants=kept))
    yield whole, (caller, replace(standing, glasses=()))
    yield whole, (caller, replace(standing, directives=tuple(each for each in standing.directives if each.denies)))
    yield whole, (caller, replace(standing, needs_consent=True))
    yield (caller, undenied), (caller, replace(undenied, above={}))


@settings(max_examples=400, deadline=None)
@given(callers, standings, st.sampled_from(KINDS), st.sampled_from(LETTERS), labels, st.sampled_from(IDS), CODES)
def test_nothing_that_is_taken_away_adds_to_what_is_seen(caller, standing, kind, letter, label, resource_id, code):
    label = own(label, kind, resource_id)
    for before, after in less(caller, standing):
        if sees(decide(after[0], after[1], kind, letter), label, resource_id, code):
            assert sees(decide(before[0], before[1], kind, letter), label, resource_id, code)


def is_within(provision, kind, label, resource_id, code, year):
    """Whether a resource may be of what a provision is about: what cannot be told of it counts."""
    start, end = (int(each) if each else None for each in provision.dates)
    is_dated = year is not None and kind in ("Observation", "Encounter")
    return (
        (not provision.types or kind in provision.types)
        and (not provision.marks or not provision.marks.isdisjoint(label.marks))
        and (not provision.data or (kind, resource_id) in provision.data)
        and (not provision.codes or code in provision.codes or kind not in ("Observation", "ServiceRequest"))
        and (not is_dated or ((start is None or start <= year) and (end is None or year <= end)))
    )


@settings(max_examples=600, deadline=None)
@given(
    callers,
    standings,
    st.sampled_from(("Observation", "Patient", "ServiceRequest")),
    st.tuples(labels, st.sampled_from(IDS), CODES, YEARS),
    patient,
    simple,
    some(simple, max_size=2),
)
def test_what_a_patient_withholds_is_seen_through_broken_glass_or_by_themselves_alone(
    caller, standing, kind, resource, withheld, refusal, permissions
):
    label, resource_id, code, year = resource
    label = own(label, kind, resource_id)
    always = {"start": float("-inf"), "end": float("inf"), "actors": frozenset(), "purposes": frozenset()}
    refusal = replace(refusal, verdict="deny", actions=frozenset(), **always)
    others = tuple(Directive(withheld, frozenset(FACILITIES), replace(each, verdict="permit")) for each in permissions)
    refused = replace(standing, directives=(*standing.directives, Directive(withheld, frozenset(), refusal), *others))
    sight = decide(caller, refused, kind, "r")
    is_meant = withheld in label.patients and is_within(refusal, kind, label, resource_id, code, year)
    if is_meant and sees(sight, label, resource_id, code, year):
        assert sight is not None
        assert withheld in sight.patients or not sight.broken.isdisjoint(label.patients)


@given(callers, standings, st.sampled_from(KINDS), st.sampled_from(LETTERS))
def test_who_has_no_scope_for_it_or_no_role_sees_nothing(caller, standing, kind, letter):
    assert decide(replace(caller, scopes=Scopes()), standing, kind, letter) is None
    assert decide(replace(caller, roles=frozenset()), replace(standing, glasses=()), kind, letter) is None


@given(callers, standings, st.sampled_from(KINDS), st.sampled_from(LETTERS), labels)
def test_a_scope_of_one_patient_shows_what_is_of_that_patient(caller, standing, kind, letter, label):
    bound = replace(caller, scopes=Scopes((Scope("patient", "*", LETTERS),)))
    sight = decide(bound, standing, kind, letter)
    if sight is not None and kind != "Organization" and sees(sight, label, "a", "x"):
        assert bound.patient in label.patients
