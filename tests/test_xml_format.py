import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError, Invalid, TooLarge, Unprocessable
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import Limits
from fhir_server.xml_format import read_xml, write_xml

PATIENT = """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet href="a.xsl"?>
<!-- a <comment> -->
<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
         xsi:schemaLocation="http://hl7.org/fhir patient.xsd">
  <id value="p"/>
  <text>
    <status value="generated"/>
    <div xmlns="http://www.w3.org/1999/xhtml" lang='vi' xml:lang="vi"><p>a &amp; b&#160;&lt;<!-- kept --></p >
      <br></br><img alt="1 > 0" src="#a"/></div>
  </text>
  <contained><Organization><id value="o"/><name value="Bệnh viện"/></Organization></contained>
  <contained><Practitioner><id value="d"/></Practitioner></contained>
  <extension url="http://a"><valueDecimal value="1.10"/></extension>
  <extension url="http://b"><extension url="c" id="e"><valueInteger value="-3"/></extension></extension>
  <active value="true"/>
  <name id="n">
    <given value="A"/>
    <given id="g"><extension url="http://x"><valueCode value="y"/></extension></given>
    <!-- between -->
    <given value="&quot;B&#10;&lt;C&gt;"/>
  </name>
  <birthDate value="1980"><extension url="http://x"><valueBoolean value="false"/></extension></birthDate>
  <deceasedBoolean value="false"/>
  <multipleBirthInteger value="2"/>
</Patient>"""

AS_JSON = {
    "resourceType": "Patient",
    "id": "p",
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml" lang=\'vi\' xml:lang="vi">'
        "<p>a &amp; b&#160;&lt;<!-- kept --></p >\n"
        '      <br></br><img alt="1 > 0" src="#a"/></div>',
    },
    "contained": [
        {"resourceType": "Organization", "id": "o", "name": "Bệnh viện"},
        {"resourceType": "Practitioner", "id": "d"},
    ],
    "extension": [
        {"url": "http://a", "valueDecimal": Decimal("1.10")},
        {"url": "http://b", "extension": [{"url": "c", "id": "e", "valueInteger": -3}]},
    ],
    "active": True,
    "name": [
        {
            "id": "n",
            "given": ["A", None, '"B\n<C>'],
            "_given": [None, {"id": "g", "extension": [{"url": "http://x", "valueCode": "y"}]}, None],
        }
    ],
    "birthDate": "1980",
    "_birthDate": {"extension": [{"url": "http://x", "valueBoolean": False}]},
    "deceasedBoolean": False,
    "multipleBirthInteger": 2,
}


def test_reads_every_kind_of_element():
    assert read_xml(PATIENT.encode(), r4()) == (AS_JSON, ())


def test_what_was_written_reads_back():
    assert read_xml(write_xml(AS_JSON, r4()), r4()) == (AS_JSON, ())


def test_an_element_may_be_called_resource_type():
    body = {"resourceType": "ExampleScenario", "instance": [{"resourceId": "a", "resourceType": "Patient"}]}
    assert read_xml(write_xml(body, r4()), r4()) == (body, ())


def test_a_byte_order_mark_is_allowed():
    assert read_xml(b"\xef\xbb\xbf" + PATIENT.encode(), r4())[0] == AS_JSON


def test_elements_are_written_in_the_order_of_the_definitions():
    shuffled = {"name": [{"given": ["A"], "family": "B", "use": "usual"}], "id": "p", "resourceType": "Patient"}
    assert write_xml(shuffled, r4()).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"><id value="p"/>'
        '<name><use value="usual"/><family value="B"/><given value="A"/></name></Patient>'
    )


@pytest.mark.parametrize("number", ["1.10", "1.00E-2", "-1e+245", "0.0", "12345678901234567890.1234567890"])
def test_decimals_keep_their_text(number):
    raw = f'{{"resourceType":"Observation","valueQuantity":{{"value":{number}}}}}'.encode()
    text = write_xml(parse_exact(raw), r4())
    assert f'<value value="{number}"/>' in text.decode()
    assert dump_exact(read_xml(text, r4())[0]) == raw


def in_patient(content, attributes=""):
    return f'<Patient xmlns="http://hl7.org/fhir"{attributes}>{content}</Patient>'.encode()


def test_a_narrative_with_prefixes_from_around_it_is_written_without_them():
    declaration = ' xmlns:h="http://www.w3.org/1999/xhtml"'
    body, issues = read_xml(in_patient("<text><h:div><h:p class='a'>b</h:p>c</h:div></text>", declaration), r4())
    assert issues == ()
    assert body["text"]["div"] == '<div xmlns="http://www.w3.org/1999/xhtml"><p class="a">b</p>c</div>'


FAULTS: dict[str, tuple[str, str, str, dict[str, object]]] = {
    "an unknown element": ("<nmae/>", "Patient", "there is no element nmae", {}),
    "an unknown attribute": ('<id value="p" x="1"/>', "Patient.id", "the attribute x is not allowed", {"id": "p"}),
    "text": ('<active value="true">yes</active>', "Patient.active", "text is not allowed", {"active": True}),
    "text between elements": ('<id value="p"/>x<id value="p"/>', "Patient", "'x'", {"id": "p"}),
    "another namespace": ('<id xmlns="http://a" value="p"/>', "Patient", "namespace", {"id": "p"}),
    "no namespace": ('<id xmlns="" value="p"/>', "Patient", "namespace", {"id": "p"}),
    "a single element twice": ('<id value="p"/><id value="q"/>', "Patient", "only once", {"id": "p"}),
    "another order": (
        '<active value="true"/><id value="p"/>', "Patient", "further in front", {"id": "p", "active": True},
    ),
    "an attribute as an element": (
        "<extension><url value='a'/></extension>", "Patient.extension[0]", "url", {"extension": [{}]},
    ),
    "an element as an attribute": ('<name family="x"/>', "Patient.name[0]", "family", {"name": [{}]}),
    "a value within a value": ('<active><value value="true"/></active>', "Patient.active", "value", {"_active": {}}),
    "nothing contained": ("<contained/>", "Patient.contained[0]", "must hold one resource", {}),
    "two contained": ("<contained><Patient/><Patient/></contained>", "Patient.contained[0]", "one resource", {}),
    "an unknown resource": ("<contained><Patent/></contained>", "Patient.contained[0]", "one resource", {}),
    "a choice of no such type": ('<deceasedInteger value="1"/>', "Patient", "no element deceasedInteger", {}),
    "a foreign narrative": ("<text><div>x</div></text>", "Patient.text", "xhtml", {"text": {}}),
    "within a choice": (
        '<deceasedBoolean value="true" y=""/>', "Patient.deceased.ofType(boolean)", "y", {"deceasedBoolean": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "where", "saying", "rest"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_and_the_rest_is_read(content, where, saying, rest):
    body, issues = read_xml(in_patient(content), r4())
    assert issues[0].expression == (where,)
    assert saying in issues[0].text
    assert "line 1" in issues[0].text
    assert body == {"resourceType": "Patient"} | rest


def test_values_of_a_wrong_form_are_left_for_validation():
    body, issues = read_xml(in_patient('<active value="yes"/><multipleBirthInteger value="2.0"/>'), r4())
    assert issues == ()
    assert body == {"resourceType": "Patient", "active": "yes", "multipleBirthInteger": "2.0"}


LAUGHS = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))

REFUSED = {
    "nothing": (b"", "not XML"),
    "JSON": (b'{"resourceType":"Patient"}', "not XML"),
    "no resource": (b'<a xmlns="http://hl7.org/fhir"/>', "'a' is none"),
    "a datatype": (b'<HumanName xmlns="http://hl7.org/fhir"/>', "'HumanName' is none"),
    "an abstract type": (b'<DomainResource xmlns="http://hl7.org/fhir"/>', "is none"),
    "not well formed": (in_patient("<id></name>"), "mismatch"),
    "an unknown entity": (in_patient('<id value="&reg;"/>'), "Entity 'reg' not defined, line 1"),
    "UTF-16": (in_patient("").decode().encode("utf-16"), "not UTF-8"),
    "Latin 1": (in_patient('<id value="é"/>').decode().encode("latin-1"), "not UTF-8"),
    "a NUL": (in_patient('<id value="\0"/>'), "not XML"),
    "a reference to NUL": (in_patient('<id value="&#0;"/>'), "not XML"),
    "a document type": (b"<!DOCTYPE Patient>" + in_patient(""), "DOCTYPE"),
    "a document type behind a comment": (
        b"<?xml version='1.0'?><!-- x -->\n<?a b?><!DOCTYPE a>" + in_patient(""),
        "DOCTYPE",
    ),
    "an external entity": (
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + in_patient('<id value="&x;"/>'),
        "DOCTYPE",
    ),
    "a billion laughs": (
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>'.encode() + in_patient('<id value="&l9;"/>'),
        "DOCTYPE",
    ),
    "very deep": (in_patient("<a>" * 100_000 + "</a>" * 100_000), "depth"),
}


@pytest.mark.parametrize(("raw", "saying"), REFUSED.values(), ids=REFUSED)
def test_refuses(raw, saying):
    with pytest.raises(Invalid) as refusal:
        read_xml(raw, r4())
    assert saying in str(refusal.value)


def test_limits_hold_as_in_json():
    deepest = parse_exact(b'{"resourceType":"Patient","contact":[{"name":{"family":"x"}}]}', Limits(depth=4))
    assert read_xml(write_xml(deepest, r4()), r4(), Limits(depth=4)) == (deepest, ())
    nested = "<extension url='a'>" * 40 + "</extension>" * 40
    with pytest.raises(TooLarge, match="64 levels"):
        read_xml(in_patient(nested), r4())
    with pytest.raises(TooLarge, match="5 members"):
        read_xml(in_patient("<name><use value='usual'/></name>" * 6), r4(), Limits(keys=5))


UNWRITABLE = {
    "an unknown member": ({"nmae": 1}, "nmae"),
    "an unknown type": ({"contained": [{"resourceType": "Patent"}]}, "resource of FHIR R4"),
    "no array": ({"name": {"family": "a"}}, "array"),
    "an array": ({"active": [True]}, "primitive"),
    "a value for an object": ({"maritalStatus": "x"}, "object"),
    "an object for a value": ({"active": {}}, "primitive"),
    "a value beside a value": ({"_active": 1}, "object"),
    "extensions of an attribute": ({"extension": [{"url": "a", "_url": {}}]}, "_url"),
    "extensions of an id": ({"name": [{"_id": {"extension": []}}]}, "_id"),
    "a second value": ({"active": True, "_active": {"value": "x"}}, "twice"),
    "extensions of an object": ({"_maritalStatus": {}}, "_maritalStatus"),
    "extensions of a narrative": ({"text": {"_div": {}}}, "_div"),
    "a character that XML lacks": ({"id": "\ufffe"}, "character"),
    "a narrative that is no string": ({"text": {"div": 1}}, "string"),
    "a narrative that is no XML": ({"text": {"div": "<div"}}, "XHTML"),
    "a narrative with a document type": ({"text": {"div": "<!DOCTYPE a><div/>"}}, "DOCTYPE"),
    "a narrative of something else": ({"text": {"div": "<p/>"}}, "div"),
    "a narrative that goes on": ({"text": {"div": "<div/><div/>"}}, "XHTML"),
}


@pytest.mark.parametrize(("members", "saying"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_has_no_place_in_xml_is_not_written(members, saying):
    with pytest.raises(Unprocessable, match=saying):
        write_xml({"resourceType": "Patient"} | members, r4())


def test_a_narrative_of_html_habits_becomes_xml():
    body = {"resourceType": "Patient", "text": {"div": " <div>a&nbsp;b &amp; c</div>\n"}}
    expected = '<div xmlns="http://www.w3.org/1999/xhtml">a\xa0b &amp; c</div>'
    assert read_xml(write_xml(body, r4()), r4())[0]["text"]["div"] == expected


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", exclude_categories=["Cc"])
    | st.sampled_from("\t\n\r")
)
extras = st.none() | st.fixed_dictionaries(
    {}, optional={"id": texts, "extension": st.just([{"url": "a", "valueCode": "b"}])}
).filter(bool)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3)
padded = st.lists(st.tuples(st.none() | texts, extras).filter(any), min_size=1)


@given(padded, numbers, st.integers(-(2**31), 2**31 - 1), st.booleans(), extras)
def test_any_values_come_back(given_names, decimal, integer, boolean, extra):
    values, beside = zip(*given_names, strict=True)
    name = {"given": list(values)} if any(value is not None for value in values) else {}
    name |= {"_given": list(beside)} if any(beside) else {}
    extension = [{"url": "a", "valueDecimal": decimal}, {"url": "b", "valueInteger": integer}]
    body = {"resourceType": "Patient", "extension": extension, "active": boolean, "name": [name]}
    body |= {"_active": extra} if extra else {}
    assert read_xml(write_xml(body, r4()), r4()) == (body, ())


@given(st.binary(max_size=20), st.integers(0), st.integers(0))
def test_no_bytes_raise_anything_but_a_refusal(insertion, start, length):
    raw = PATIENT.encode()
    start %= len(raw)
    try:
        read_xml(raw[:start] + insertion + raw[start + length % 50 :], r4())
    except FhirError as refusal:
        assert refusal.issues  # noqa: PT017


def exactly(body):
    return json.loads(dump_exact(body), parse_float=str)


def test_official_examples_come_back(r4_examples):
    for name in sorted(r4_examples)[::10]:  # tests/conformance/examples_xml.py takes them all
        body = parse_exact(r4_examples[name])
        back, issues = read_xml(write_xml(body, r4()), r4())
        assert issues == (), name
        assert exactly(back) == exactly(body), name
