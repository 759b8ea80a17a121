def test_a_uri_is_kept_exactly(cells):
    assert cells({"resourceType": "ValueSet", "url": "HTTP://a/B|1"}, "url") == {(0, "HTTP://a/B|1", "")}


def test_a_canonical_is_parted_from_its_version(cells):
    patient = {"resourceType": "Patient", "meta": {"profile": ["http://a|1.0", "http://b"], "source": "urn:x#y"}}
    assert cells(patient, "_profile") == {(0, "http://a", "1.0"), (0, "http://b", "")}
    assert cells(patient, "_source") == {(0, "urn:x#y", "")}
