from fhir_server.search.row import String

WHOLE, WORD = String


def test_text_is_folded_and_kept_as_sent(cells):
    patient = {"resourceType": "Patient", "name": [{"given": ["Đào", "an"]}]}
    assert cells(patient, "given") == {(WHOLE, "dao", "Đào"), (WHOLE, "an", "")}


def test_a_name_is_found_by_each_of_its_parts_and_by_later_words_of_families(cells):
    name = {"use": "official", "family": "Carreno Quinones", "given": ["Maria Luz"], "prefix": ["Dr."]}
    patient = {"resourceType": "Patient", "name": [name]}
    assert cells(patient, "name") == {
        (WHOLE, "carreno quinones", "Carreno Quinones"),
        (WORD, "quinones", ""),
        (WHOLE, "maria luz", "Maria Luz"),
        (WHOLE, "dr", "Dr."),
    }
    assert (WORD, "quinones", "") in cells(patient, "family")
    assert cells(patient, "phonetic") == cells(patient, "name")


def test_a_vietnamese_name_in_one_text_is_found_by_the_given_name(cells):
    patient = {"resourceType": "Patient", "name": [{"text": "Nguyễn Thị Ánh"}]}
    assert {(WORD, "thi anh", ""), (WORD, "anh", "")} <= cells(patient, "name")


def test_an_address_is_found_by_each_of_its_parts(cells):
    address = {"use": "home", "line": ["12/3 Lê Lợi"], "city": "Huế", "country": "VN"}
    patient = {"resourceType": "Patient", "address": [address]}
    assert cells(patient, "address") == {
        (WHOLE, "12 3 le loi", "12/3 Lê Lợi"),
        (WHOLE, "hue", "Huế"),
        (WHOLE, "vn", "VN"),
    }
    assert cells(patient, "address-city") == {(WHOLE, "hue", "Huế")}


def test_an_item_that_has_only_extensions_has_no_row(cells):
    name = {"given": [None, "An"], "_given": [{"extension": [{"url": "http://a", "valueCode": "x"}]}, None]}
    assert cells({"resourceType": "Patient", "name": [name]}, "given") == {(WHOLE, "an", "An")}


def test_the_text_of_an_extension_is_found(cells):
    url = "http://hl7.org/fhir/StructureDefinition/patient-extensions-Patient-mothersMaidenName"
    extensions = [{"url": url, "valueString": "Lê"}, {"url": "http://other", "valueString": "No"}]
    patient = {"resourceType": "Patient", "extension": extensions}
    assert cells(patient, "mothersMaidenName") == {(WHOLE, "le", "Lê")}
