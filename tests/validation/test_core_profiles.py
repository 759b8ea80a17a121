"""R4's own profiles and extension definitions, each with instances made from it: sound ones and broken ones."""

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.environment import NullEnvironment
from fhir_server.terminology.local import LocalTerminology
from fhir_server.validation.binding import Bindings
from fhir_server.validation.constraint import Constraints
from fhir_server.validation.item import Item
from fhir_server.validation.profile import Profiles
from fhir_server.validation.run import Run
from fhir_server.validation.validator import Validator
from tests.validation.instance import SAMPLES, Instances

# Its slices are told apart by a profile that the core does not have.
WITHOUT_SLICES = "example-composition"


def constraints(kind):
    for canonical in r4().structures():
        structure = r4().structure(canonical)
        assert structure is not None
        if structure.derivation == "constraint" and structure.elements and (structure.type == "Extension") == kind:
            yield structure


RESOURCE_PROFILES = [s.url.removeprefix(TYPE_URL) for s in constraints(kind=False) if s.kind == "resource"]
EXTENSIONS = [s.url for s in constraints(kind=True)]


@pytest.fixture(scope="module")
def instances():
    return Instances(r4(), LocalTerminology(r4()))


@pytest.fixture(scope="module")
def validator():
    return Validator(r4())


def test_the_core_has_profiles_and_extensions():
    assert (len(RESOURCE_PROFILES), len(EXTENSIONS)) == (43, 396)


@pytest.mark.parametrize("name", RESOURCE_PROFILES)
def test_an_instance_with_all_that_a_profile_demands_meets_it(name, instances, validator):
    found = validator.validate(instances.resource(TYPE_URL + name), profiles=[TYPE_URL + name]).issues
    assert [i for i in found if i.is_error and i.profile == TYPE_URL + name and not i.rule] == []


@pytest.mark.parametrize("name", [n for n in RESOURCE_PROFILES if n != WITHOUT_SLICES])
def test_an_instance_that_breaks_a_demand_does_not_meet_it(name, instances, validator):
    missed = [
        what
        for what, body in instances.broken(TYPE_URL + name)
        if validator.validate(body, profiles=[TYPE_URL + name]).is_valid
    ]
    assert missed == []


@pytest.fixture(scope="module")
def profiles():
    terminology = LocalTerminology(r4())
    constraints = Constraints(r4(), Engine(r4()), frozenset({"error"}))
    return Profiles(r4(), terminology, Bindings(terminology), constraints)


def extension_faults(profiles, canonical, value):
    """The errors in an extension's structure by its definition, wherever it stands; samples are no real codes."""
    check = profiles.item_check(canonical)
    run = Run({"resourceType": "Basic"}, lambda run: NullEnvironment())
    check(Item(value, None, None, value, "Extension"), run)
    return [f.text for f in run.faults if f.code not in {"invariant", "code-invalid"}]


@pytest.mark.parametrize("canonical", EXTENSIONS)
def test_an_extension_that_is_as_defined_is_sound(canonical, instances, profiles):
    body = instances.members(instances.tree(canonical), "Extension", 0)
    assert body["url"] == canonical
    assert extension_faults(profiles, canonical, body) == []


@pytest.mark.parametrize("canonical", EXTENSIONS)
def test_an_extension_of_another_type_is_refused(canonical, instances, profiles):
    value = instances.tree(canonical).children["value"]
    codes = {t.code for t in value.types} if value.element.max != 0 else set()
    wrong = next(code for code in SAMPLES if code not in {*codes, "xhtml"})
    body = {"url": canonical, f"value{wrong[0].upper()}{wrong[1:]}": SAMPLES[wrong]}
    if len(codes) < 50:
        assert extension_faults(profiles, canonical, body)
