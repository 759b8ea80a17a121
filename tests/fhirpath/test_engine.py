"""Expressions are compiled against the definitions and evaluated on resources."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.fhirpath import evaluation
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.environment import NullEnvironment, ReferencedTypes
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.node import Node

NOON = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Clinic"}],
    "name": [
        {"use": "official", "family": "An", "given": ["Binh", None], "_given": [None, {"id": "x"}]},
        {"text": "B"},
    ],
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "deceasedBoolean": False,
    "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "#o"}],
    "managingOrganization": {"reference": "#o"},
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "weight"},
    "valueQuantity": {"value": 1.10, "unit": "lbs", "system": "http://unitsofmeasure.org", "code": "[lb_av]"},
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(r4(), clock=lambda: NOON)


@pytest.fixture(scope="module")
def values(engine: Engine) -> Callable[..., list[Any]]:
    def evaluate(source: str, resource: dict[str, Any] = PATIENT, **options: Any) -> list[Any]:
        return engine.compile(source, resource["resourceType"]).values(resource, **options)

    return evaluate


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("name.given", ["Binh", None]),
        ("Patient.name.family", ["An"]),
        ("Resource.id", ["p"]),
        ("name.given.select(hasValue())", [True, False]),
        ("birthDate.extension('time').value", ["1974-12-25T14:35:45-05:00"]),
        ("deceased", [False]),
        ("deceased is boolean", [True]),
        ("deceased.ofType(dateTime)", []),
        ("contained.name", ["Clinic"]),
        ("contained.ofType(Organization).name", ["Clinic"]),
        ("name.where(use = 'official').given.first()", ["Binh"]),
        ("name[1].text", ["B"]),
        ("managingOrganization.resolve().name", ["Clinic"]),
        ("managingOrganization.resolve() is Organization", [True]),
        ("generalPractitioner.resolve().id", ["o"]),
        ("children().count()", [9]),
        ("descendants().where($this is HumanName).count()", [2]),
        ("getResourceKey()", ["Patient/p"]),
        ("generalPractitioner.getReferenceKey(Practitioner)", ["Practitioner/1"]),
        ("generalPractitioner.getReferenceKey()", ["Practitioner/1"]),
        ("birthDate + 1 year", ["1975-12-25"]),
        ("birthDate < today()", [True]),
        ("now().toString()", ["2026-11-05T12:30:00.000Z"]),
        ("timeOfDay() = @T12:30:00.000", [True]),
        ("%resource.id", ["p"]),
        ("name.given.where(%context.id = 'p').count()", [2]),
        ("type().name", ["Patient"]),
        ("name.type().name", ["HumanName", "HumanName"]),
        ("name.select($index)", [0, 1]),
        ("iif(name.exists(), 'a', 1 / 0)", ["a"]),
        ("name.sort(family).text", ["B"]),
        ("(3 | 1 | 2).sort(-$this)", [3, 2, 1]),
        ("defineVariable('n', name).select(%n.family)", ["An"]),
        ("elementDefinition()", []),
        ("checkModifiers('x').id", ["p"]),
        ("'a'.memberOf('http://example.org/vs')", []),
        ("name.given.first().subsumes('a')", []),
        ("(1 | 2 | 3).aggregate($total + $this, 0)", [6]),
        ("2147483647 + 1", []),
        ("1 / 3 * 3 ~ 1", [True]),
        ("'x' & {}", ["x"]),
        ("{} = 'x'", []),
        ("%`vs-x`", ["http://hl7.org/fhir/ValueSet/x"]),
        ("'\"<a>'.escape('html').unescape('html')", ['"<a>']),
        ("'h\u00ea'.encode('base64').decode('base64')", ["h\u00ea"]),
        ("'!'.decode('base64')", []),
        ("'a,b'.split(',').join('-')", ["a-b"]),
        ("' a '.trim().length()", [1]),
        ("'abc'.lastIndexOf('c')", [2]),
        ("1.5.precision()", [1]),
        ("(1 | 2 | 2).repeatAll($this.where(false)).count()", [0]),
        ("'4 days'.toQuantity().toString()", ["4 days"]),
        ("(-7) div 2", [-3]),
        ("(-7) mod 2", [-1]),
        ("7.5.round()", [Decimal(8)]),
    ],
)
def test_evaluation(values, source, expected) -> None:
    assert values(source) == expected


def test_decimals_keep_their_value(values) -> None:
    assert values("value.value.toString()", OBSERVATION) == ["1.1"]
    exact = {**OBSERVATION, "valueQuantity": {"value": Decimal("1.10")}}
    assert values("value.value.toString()", exact) == ["1.10"]
    assert values("value.value + 0.005", exact) == [Decimal("1.105")]
    assert values("value = 1.1", exact) == [False]
    assert values("value > 1 'kg'", OBSERVATION) == [False]


@pytest.mark.parametrize(
    ("source", "position", "message"),
    [
        ("name.nam", 5, "Unknown element 'nam' of HumanName"),
        ("Observation.status", 0, "The context is Patient"),
        ("deceased.as(Period).start.foo", 26, "Unknown element 'foo'"),
        ("foo()", 0, "Unknown function"),
        ("name.first(1)", 5, "takes 0 arguments"),
        ("name is Nothing", 8, "Unknown type Nothing"),
        ("name.ofType('x')", 12, "Expected the name of a type"),
        ("name.startsWith('x')", 5, "takes String"),
        ("birthDate + 7", 10, "does not take"),
        ("name.select(family + 1)", 19, "does not take"),
        ("'a' * 2", 4, "does not take"),
        ("-'a'", 0, "takes a number"),
        ("iif('x', 1, 2)", 4, "not a single boolean"),
        ("iif(1 | 2, 1, 2)", 6, "not a single boolean"),
        ("exists(1, 2)", 0, "0 to 1 arguments"),
    ],
)
def test_what_the_definitions_exclude_is_refused_before_evaluation(engine, source, position, message) -> None:
    with pytest.raises(FHIRPathError, match=message.replace("(", r"\(")) as caught:
        engine.compile(source, "Patient")
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("source", "position", "message"),
    [
        ("name.single()", 5, "found 2 items"),
        ("name.as(HumanName)", 5, "single item"),
        ("name.exists() and (1 | 2)", 14, "single boolean"),
        ("name.select(%resource.id + 1)", 25, "does not take"),
        ("id < 1", 3, "Cannot compare"),
        ("%unknown", 0, "not defined"),
        ("id.matches('(?=a)')", 3, "not supported"),
        ("id.matches('(')", 3, "not supported"),
        ("conformsTo('http://example.org')", 0, "Unknown profile"),
        ("1.repeat($this + 1)", 2, "more than"),
        ("(true | 'a').allTrue()", 13, "Expected booleans"),
        ("defineVariable('resource')", 0, "name is taken"),
        ("1.5.round(-1)", 4, "negative"),
        ("name.comparable(1 'm')", 5, "single item"),
    ],
)
def test_errors_of_evaluation_say_where_they_arise(engine, source, position, message) -> None:
    expression = engine.compile(source, "Patient")
    with pytest.raises(FHIRPathError, match=message.replace("(", r"\(")) as caught:
        expression.evaluate(PATIENT)
    assert caught.value.position == position
    assert caught.value.source == source


def test_a_lenient_expression_finds_nothing_where_a_strict_one_is_refused(engine) -> None:
    assert engine.compile("name.nam", "Patient", strict=False).evaluate(PATIENT) == []
    assert engine.compile("name.as(HumanName).family", "Patient", strict=False).values(PATIENT) == ["An"]


def test_without_a_type_nothing_is_checked_before_evaluation(engine) -> None:
    assert engine.compile("name.nam").evaluate(PATIENT) == []


def test_order_is_asked_of_collections_that_have_one(engine) -> None:
    engine.compile("name.first()", "Patient", ordered=True)
    with pytest.raises(FHIRPathError, match="no order"):
        engine.compile("children().first()", "Patient", ordered=True)


def test_expressions_are_remembered(engine) -> None:
    assert engine.compile("name.given", "Patient") is engine.compile("name.given", "Patient")


def test_variables_and_other_contexts(values, engine) -> None:
    assert values("%a + %b", variables={"a": 1, "b": 0.5}) == [Decimal("1.5")]
    assert values("%list.count()", variables={"list": ["a", "b", {"resourceType": "Patient"}]}) == [3]
    name = engine.compile("Patient.name.first()").evaluate(PATIENT)[0]
    assert isinstance(name, Node)
    assert (name.type, name.key, name.index) == ("HumanName", "name", 0)
    assert name.owner is PATIENT
    family = engine.compile("family & %resource.id", "HumanName")
    assert family.values(name, resource=PATIENT) == ["Anp"]
    assert engine.compile("$this.length()", "string").values("abc", type="string") == [3]


def test_the_clock_is_read_once_in_an_evaluation() -> None:
    ticks = count()
    engine = Engine(r4(), clock=lambda: NOON.replace(second=next(ticks)))
    assert engine.compile("now() = now()").values({}) == [True]
    assert next(ticks) == 1


def test_traces_reach_whoever_asks(values) -> None:
    seen: list[tuple[str, int]] = []
    assert values("name.trace('n', given).count()", trace=lambda name, items: seen.append((name, len(items)))) == [2]
    assert seen == [("n", 2)]


def test_the_environment_answers(values) -> None:
    class Known(NullEnvironment):
        def resolve(self, reference: str) -> dict[str, Any] | None:
            return {"resourceType": "Practitioner", "id": "1"} if reference == "Practitioner/1" else None

        def member_of(self, node: Node, value_set: str) -> bool | None:
            return bool(node.value == "official")

        def subsumes(self, general: Node, special: Node) -> bool | None:
            return str(special.value).startswith(str(general.value))

        def conforms_to(self, node: Node, structure: str) -> bool | None:
            return structure == "http://example.org/known"

    known = Known()
    assert values("generalPractitioner.resolve().id", environment=known) == ["1", "o"]
    assert values("name.use.memberOf('x')", environment=known) == [True]
    assert values("'a'.subsumes('ab')", environment=known) == [True]
    assert values("'a'.subsumedBy('ab')", environment=known) == [False]
    assert values("conformsTo('http://example.org/known')", environment=known) == [True]


def test_types_of_references_are_known_without_resources(values) -> None:
    environment = ReferencedTypes(r4().resource_types)
    source = "generalPractitioner.where(resolve() is Practitioner).reference"
    assert values(source, environment=environment) == ["Practitioner/1"]
    known = environment.resolve("https://example.org/fhir/Patient/1/_history/2")
    assert known == {"resourceType": "Patient", "id": "1"}
    assert environment.resolve("urn:uuid:0") is None
    assert environment.resolve("Nothing/1") is None


def test_elements_without_definition_are_found_by_key(engine) -> None:
    body = {"resourceType": "Unheard", "id": "u", "part": [{"name": "x", "flag": True}]}
    assert engine.compile("part.name").values(body) == ["x"]
    assert engine.compile("part.where(flag).name").values(body) == ["x"]
    assert engine.compile("children().count()").values(body) == [2]


def test_what_an_expression_may_cost_is_limited(engine, monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_STEPS", 10_000)
    items = [{"linkId": str(i), "type": "display"} for i in range(150)]
    body = {"resourceType": "Questionnaire", "status": "draft", "item": items}
    with pytest.raises(FHIRPathError, match="visits more than"):
        engine.compile("item.select(%resource.item.select(linkId))", "Questionnaire").evaluate(body)
