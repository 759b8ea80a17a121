from fhir_server.search.suggestion import hint, nearest

NAMES = ("birthdate", "name", "family", "given", "general-practitioner")


def test_the_nearest_name_is_found_whatever_its_case():
    assert nearest("birthDate", NAMES) == "birthdate"
    assert nearest("famliy", NAMES) == "family"
    assert hint("practitioner", NAMES) == " Did you mean general-practitioner?"


def test_nothing_is_said_where_nothing_is_near():
    assert nearest("zzz", NAMES) is None
    assert hint("zzz", NAMES) == ""
