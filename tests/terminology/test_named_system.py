import pytest

from fhir_server.terminology.iso_code import COUNTRIES_ALPHA_2, COUNTRIES_ALPHA_3, COUNTRIES_NUMERIC
from fhir_server.terminology.named_system import JUDGES, is_loinc_form, is_snomed_form


def judged(system, code):
    return JUDGES[system](code)


@pytest.mark.parametrize(
    "code", ["vi", "vi-VN", "en-US", "zh-Hant-TW", "de-CH-1901", "sl-rozaj-biske", "es-419", "x-private", "i-klingon",
             "en-u-ca-gregory", "yue", "EN-us", "zh-cmn-Hans-CN", "en-x-twain"],
)  # fmt: skip
def test_a_language_tag(code):
    assert judged("urn:ietf:bcp:47", code) is True


@pytest.mark.parametrize(
    "code", ["", "english", "qq", "en-QQ", "en_US", "vi-", "-vi", "v", "en-US-US", "text/cql", "en-x"]
)
def test_no_language_tag(code):
    assert judged("urn:ietf:bcp:47", code) is (code == "english")


@pytest.mark.parametrize(
    "code", ["text/plain", "application/fhir+json", "text/html; charset=utf-8", "image/*", "x-custom/a",
             "application/dicom", "application/hl7-v3+xml", 'multipart/related; type="application/dicom"'],
)  # fmt: skip
def test_a_media_type(code):
    assert judged("urn:ietf:bcp:13", code) is True


@pytest.mark.parametrize("code", ["", "text", "text/", "/plain", "pdf", "texts/plain", "text/plain plain"])
def test_no_media_type(code):
    assert judged("urn:ietf:bcp:13", code) is False


@pytest.mark.parametrize("code", ["text/plain;", "application/dicom; transfer-syntax"])
def test_a_media_type_with_loose_parameters_is_left_undecided(code):
    assert judged("urn:ietf:bcp:13", code) is None


@pytest.mark.parametrize("code", ["json", "xml", "ttl"])
def test_a_format_of_fhir_cannot_be_told_from_a_wrong_media_type(code):
    assert judged("urn:ietf:bcp:13", code) is None


@pytest.mark.parametrize(
    ("code", "known"), [("VND", True), ("USD", True), ("XXX", True), ("vnd", False), ("DONG", False)]
)
def test_currencies(code, known):
    assert judged("urn:iso:std:iso:4217", code) is known


@pytest.mark.parametrize(("code", "known"), [("VN", True), ("VNM", True), ("704", True), ("vn", False), ("XX", False)])
def test_countries(code, known):
    assert judged("urn:iso:std:iso:3166", code) is known


def test_every_country_has_its_three_codes():
    assert len(COUNTRIES_ALPHA_2) == len(COUNTRIES_ALPHA_3) == len(COUNTRIES_NUMERIC) == 249


def test_subdivisions_are_not_listed():
    assert judged("urn:iso:std:iso:3166:-2", "VN-HN") is None
    assert judged("urn:iso:std:iso:3166:-2", "XX-HN") is False
    assert judged("urn:iso:std:iso:3166:-2", "VN") is False


def test_time_zones_are_those_of_the_machine():
    assert judged("https://www.iana.org/time-zones", "Asia/Ho_Chi_Minh") is not False
    assert judged("https://www.iana.org/time-zones", "Asia/Nowhere") is not True


@pytest.mark.parametrize(
    ("code", "known"), [("urn:oid:1.2", True), ("https://a/b", True), ("a b", False), ("/a", False)]
)
def test_uris(code, known):
    assert judged("urn:ietf:rfc:3986", code) is known


@pytest.mark.parametrize(("code", "known"), [("mg/dL", True), ("mm[Hg]", True), ("mmHg", False), ("", False)])
def test_units(code, known):
    assert judged("http://unitsofmeasure.org", code) is known


@pytest.mark.parametrize(
    ("code", "right"),
    [("404684003", True), ("404684004", False), ("71341001:272741003=7771000", True), ("T-15460", False),
     ("0123456", False), ("look up value", False)],
)  # fmt: skip
def test_snomed_codes_are_judged_by_form(code, right):
    assert is_snomed_form(code) is right


@pytest.mark.parametrize(
    ("code", "right"),
    [("8480-6", True), ("8480-7", False), ("LA32-8", True), ("LP173421-1", True), ("BP", False), ("8480", False)],
)
def test_loinc_codes_are_judged_by_form(code, right):
    assert is_loinc_form(code) is right
