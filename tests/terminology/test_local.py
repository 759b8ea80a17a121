from fhir_server.definitions.code_system import Designation
from fhir_server.definitions.registry import Definitions, r4
from fhir_server.terminology.local import LocalTerminology
from tests.terminology.terminologies import (
    BASE,
    code_system,
    codes,
    cs,
    expanded,
    system,
    terminology,
    value_set,
    vs,
    where,
)

COLOURS = code_system("colour", "red", "green", "blue")
SIZES = code_system("size", "small", "large", "red")
SNOMED = "http://snomed.info/sct"
V3_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CORE = "http://hl7.org/fhir/ValueSet/"


def test_a_whole_system_is_in_a_value_set_that_includes_it():
    known = terminology(COLOURS, value_set("v", system("colour")))
    assert known.contains(vs("v"), cs("colour"), "red") is True
    assert known.contains(vs("v"), cs("colour"), "Red") is False
    assert known.contains(vs("v"), cs("size"), "red") is False
    assert known.contains(vs("v"), None, "blue") is True
    assert known.contains(vs("v"), None, "black") is False


def test_a_list_of_codes_is_taken_even_of_a_system_that_is_not_known():
    known = terminology(value_set("v", system("colour", "red")))
    assert known.contains(vs("v"), cs("colour"), "red") is True
    assert known.contains(vs("v"), cs("colour"), "green") is False


def test_where_a_system_is_not_case_sensitive_any_spelling_is_found():
    known = terminology(COLOURS | {"caseSensitive": False}, value_set("v", system("colour", "red")))
    assert known.contains(vs("v"), cs("colour"), "RED") is True
    assert known.contains(vs("v"), None, "Red") is True
    assert known.contains(vs("v"), cs("colour"), "GREEN") is False
    assert known.validate_code(cs("colour"), "Red").code == "red"


def test_what_is_excluded_is_not_in_it():
    known = terminology(
        COLOURS, SIZES, value_set("v", system("colour"), system("size"), exclude=(system("size", "red"),))
    )
    assert codes(known, "v") == ["red", "green", "blue", "small", "large"]
    assert known.contains(vs("v"), cs("size"), "red") is False
    assert known.contains(vs("v"), None, "red") is True


def test_an_include_of_several_value_sets_holds_what_is_in_all_of_them():
    known = terminology(
        COLOURS,
        value_set("warm", system("colour", "red", "green")),
        value_set("cold", system("colour", "green", "blue")),
        value_set("both", {"valueSet": [vs("warm"), vs("cold")]}),
        value_set("narrow", system("colour", "red", "green", valueSet=[vs("cold")])),
        value_set("either", {"valueSet": [vs("warm")]}, {"valueSet": [vs("cold")]}),
    )
    assert codes(known, "both") == ["green"]
    assert codes(known, "narrow") == ["green"]
    assert codes(known, "either") == ["red", "green", "blue"]


def test_an_import_may_name_the_version():
    known = terminology(
        COLOURS,
        value_set("v", system("colour", "red"), version="1"),
        value_set("v", system("colour", "blue"), version="2"),
        value_set("old", {"valueSet": [f"{vs('v')}|1"]}),
        value_set("new", {"valueSet": [vs("v")]}),
    )
    assert codes(known, "old") == ["red"]
    assert codes(known, "new") == ["blue"]
    assert known.contains(f"{vs('v')}|3", cs("colour"), "red") is None


def test_of_what_an_unknown_value_set_may_hold_nothing_can_be_told():
    known = terminology(COLOURS, value_set("v", system("colour", "red"), {"valueSet": [vs("missing")]}))
    assert known.contains(vs("v"), cs("colour"), "red") is True
    assert known.contains(vs("v"), cs("colour"), "blue") is None
    assert expanded(known, "v").complete is False


def test_what_an_unknown_value_set_may_exclude_cannot_be_told():
    known = terminology(COLOURS, value_set("v", system("colour"), exclude=({"valueSet": [vs("missing")]},)))
    assert known.contains(vs("v"), cs("colour"), "red") is None
    assert known.contains(vs("v"), cs("colour"), "black") is False


def test_value_sets_that_import_each_other_end():
    known = terminology(
        COLOURS,
        value_set("a", system("colour", "red"), {"valueSet": [vs("b")]}),
        value_set("b", system("colour", "blue"), {"valueSet": [vs("a")]}),
    )
    assert known.contains(vs("a"), cs("colour"), "red") is True
    assert known.contains(vs("a"), cs("colour"), "blue") is True
    assert known.contains(vs("a"), cs("colour"), "green") is None


def test_value_sets_that_import_two_of_the_next_a_hundred_deep_take_no_time():
    links = [value_set(str(i), {"valueSet": [vs(str(i + 1))]}, {"valueSet": [vs(str(i + 1))]}) for i in range(100)]
    known = terminology(COLOURS, *links, value_set("100", system("colour")))
    assert known.contains(vs("60"), cs("colour"), "red") is True
    assert known.contains(vs("0"), cs("colour"), "red") in {True, None}


def test_value_sets_that_narrow_each_other_forty_deep_take_no_time():
    def narrowing(depth):
        return value_set(f"{depth}", {"valueSet": [vs(f"{depth + 1}"), vs(f"{depth + 1}")]})

    known = terminology(*(narrowing(depth) for depth in range(40)), value_set("40", system("far")))
    assert known.contains(vs("0"), cs("far"), "a") is None


def test_the_codes_of_a_system_that_is_not_listed_cannot_be_told():
    fragment = code_system("part", "a", content="fragment")
    known = terminology(fragment, value_set("v", system("part")))
    assert known.contains(vs("v"), cs("part"), "a") is True
    assert known.contains(vs("v"), cs("part"), "b") is None
    assert known.contains(vs("v"), cs("other"), "b") is False
    assert known.validate_code(cs("part"), "b").found is None


def test_a_system_in_another_version_than_the_include_asks_for_cannot_be_told():
    known = terminology(COLOURS | {"version": "1"}, value_set("v", system("colour", version="2")))
    assert known.contains(vs("v"), cs("colour"), "red") is None


def test_a_filter_that_is_not_understood_leaves_the_question_open():
    known = terminology(COLOURS, value_set("v", where("colour", "concept", "resembles", "red")))
    assert known.contains(vs("v"), cs("colour"), "red") is None
    assert known.contains(vs("v"), cs("colour"), "black") is False


def test_an_expansion_sent_with_the_value_set_counts_where_the_definition_cannot_tell():
    sent = {
        "contains": [{"system": SNOMED, "code": "1", "display": "one", "contains": [{"system": SNOMED, "code": "2"}]}]
    }
    reach = {"system": SNOMED, "filter": [{"property": "concept", "op": "is-a", "value": "0"}]}
    known = terminology(value_set("v", reach, expansion=sent))
    assert known.contains(vs("v"), SNOMED, "2") is True
    assert known.contains(vs("v"), SNOMED, "3") is None
    assert [(e.code, e.display) for e in expanded(known, "v").entries] == [("1", "one"), ("2", None)]


def test_the_expansion_of_an_immutable_value_set_is_the_value_set():
    sent = {"contains": [{"system": cs("colour"), "code": "red"}]}
    known = terminology(COLOURS, value_set("v", system("colour"), immutable=True, expansion=sent))
    assert codes(known, "v") == ["red"]
    assert known.contains(vs("v"), cs("colour"), "blue") is False


def test_an_expansion_keeps_the_order_of_the_definition_and_its_displays():
    listed = {"system": cs("colour"), "concept": [
        {"code": "blue", "display": "xanh", "designation": [{"language": "en", "value": "blue one"}]}, {"code": "red"},
    ]}  # fmt: skip
    known = terminology(COLOURS, value_set("v", listed))
    entries = expanded(known, "v").entries
    assert [(e.code, e.display) for e in entries] == [("blue", "xanh"), ("red", "RED")]
    assert entries[0].designations == (Designation("en", "blue one"),)


def test_new_definitions_are_seen_at_once():
    definitions = Definitions()
    known = LocalTerminology(definitions)
    assert known.contains(vs("v"), cs("colour"), "red") is None
    definitions.add(COLOURS)
    definitions.add(value_set("v", system("colour", "red")))
    assert known.contains(vs("v"), cs("colour"), "red") is True
    definitions.add(value_set("v", system("colour", "blue")))
    assert known.contains(vs("v"), cs("colour"), "red") is False


def test_what_is_added_to_the_definitions_below_is_seen_too():
    below = Definitions()
    known = LocalTerminology(below.extended())
    assert known.contains(vs("v"), cs("colour"), "red") is None
    below.add(value_set("v", system("colour", "red")))
    assert known.contains(vs("v"), cs("colour"), "red") is True


def test_a_code_of_a_complete_system_is_found_or_it_is_wrong():
    known = terminology(COLOURS)
    right, wrong = known.validate_code(cs("colour"), "red", "Red"), known.validate_code(cs("colour"), "black")
    assert (right.found, right.display, right.display_ok) == (True, "RED", True)
    assert (wrong.system_known, wrong.complete, wrong.found) == (True, True, False)


def test_displays_come_from_the_system_its_designations_a_supplement_and_the_value_set():
    described = {"code": "red", "display": "Red", "designation": [{"language": "de", "value": "Rot"}]}
    supplement = code_system("viet", {"code": "red", "designation": [{"language": "vi", "value": "Đỏ"}]})
    named = {"system": cs("colour"), "concept": [{"code": "red", "display": "Crimson"}]}
    known = terminology(
        code_system("colour", described),
        supplement | {"content": "supplement", "supplements": cs("colour")},
        value_set("v", named),
        value_set("around", {"valueSet": [vs("v")]}),
    )
    check = known.validate_code(cs("colour"), "red", "crimson", value_set=vs("around"))
    assert check.displays == ("Red", "Rot", "Đỏ", "Crimson")
    assert check.display_ok is True
    assert known.validate_code(cs("colour"), "red", "đỏ").display_ok is True
    assert known.validate_code(cs("colour"), "red", "crimson").display_ok is False
    assert known.validate_code(cs("colour"), "red", "Rot", ("vi",)).display_ok is False
    assert known.validate_code(cs("colour"), "red", "Đỏ", ("vi-VN",)).displays == ("Đỏ",)
    assert known.validate_code(f"{BASE}/cs/viet", "red").system_known is False


def test_a_display_that_differs_in_white_space_alone_is_wrong_and_told_apart():
    known = terminology(code_system("c", {"code": "a", "display": "two words"}))
    check = known.validate_code(cs("c"), "a", "Two  words ")
    assert (check.display_ok, check.space_only) == (False, True)
    assert known.validate_code(cs("c"), "a", "twowords").space_only is False


def test_no_display_is_no_wrong_display():
    known = terminology(code_system("c", {"code": "a"}))
    assert known.validate_code(cs("c"), "a", "anything").display_ok is None
    assert known.validate_code(cs("c"), "a").display_ok is None


def test_concepts_that_group_or_are_retired_say_so():
    known = terminology(
        code_system(
            "c",
            {"code": "group", "property": [{"code": "notSelectable", "valueBoolean": True}]},
            {"code": "old", "property": [{"code": "status", "valueCode": "retired"}]},
        )
    )
    assert known.validate_code(cs("c"), "group").abstract is True
    assert known.validate_code(cs("c"), "old").inactive is True


def test_subsumption_follows_the_hierarchy():
    known = terminology(
        code_system("c", {"code": "a", "concept": [{"code": "b", "concept": [{"code": "c"}]}]}, {"code": "d"})
    )
    assert known.subsumes(cs("c"), "a", "c") is True
    assert known.subsumes(cs("c"), "b", "b") is True
    assert known.subsumes(cs("c"), "c", "a") is False
    assert known.subsumes(cs("c"), "a", "d") is False
    assert known.subsumes(cs("c"), "a", "unknown") is None


def test_the_core_tells_its_required_codes():
    known = LocalTerminology(r4())
    assert known.contains(f"{CORE}observation-status|4.0.1", None, "final") is True
    assert known.contains(f"{CORE}observation-status", None, "Final") is False
    assert known.contains(f"{CORE}observation-status|5.0.0", None, "final") is None
    assert known.contains("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", V3_ACT_CODE, "VR") is True
    assert known.contains("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", V3_ACT_CODE, "_ActCode") is False
    assert known.validate_code(V3_ACT_CODE, "AMB", "Ambulatory").display_ok is True


def test_systems_that_the_core_only_names_are_judged_by_table_or_form():
    known = LocalTerminology(r4())
    assert known.contains(f"{CORE}currencies", None, "VND") is True
    assert known.contains(f"{CORE}currencies", None, "VNX") is False
    assert known.contains(f"{CORE}mimetypes", None, "text/plain") is True
    assert known.contains(f"{CORE}mimetypes", None, "plain text") is False
    assert known.contains(f"{CORE}all-languages", "urn:ietf:bcp:47", "vi-VN") is True
    assert known.contains(f"{CORE}ucum-units", "http://unitsofmeasure.org", "mm[Hg]") is True
    assert known.contains(f"{CORE}ucum-units", None, "mmHg") is False
    assert known.contains(f"{CORE}condition-code", SNOMED, "404684003") is None
    assert known.validate_code(SNOMED, "404684004").well_formed is False
    assert known.validate_code("http://terminology.hl7.org/CodeSystem/v2-0203", "NNVNM").found is True


def test_a_package_may_change_what_the_core_compiled():
    definitions = r4().extended()
    known = LocalTerminology(definitions)
    gender, system_url = f"{CORE}administrative-gender", "http://hl7.org/fhir/administrative-gender"
    assert known.contains(gender, system_url, "nonbinary") is False
    definitions.add(code_system("g", "nonbinary") | {"url": system_url})
    assert known.contains(gender, system_url, "nonbinary") is True
    assert LocalTerminology(r4()).contains(gender, system_url, "nonbinary") is False


def test_every_value_set_of_the_core_can_be_prepared_and_expanded():
    known = LocalTerminology(r4())
    for url in r4().value_sets():
        membership, expansion = known.membership(url), known.expand(url)
        assert membership is not None
        assert expansion is not None
        assert expansion.complete == membership.closed
        assert all(membership.contains(entry.system, entry.code) for entry in expansion.entries)
        assert len(expansion.entries) == sum(len(codes) for codes in membership.systems.values())
