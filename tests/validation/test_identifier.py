"""Identifiers by their system."""

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full

URIS = "urn:ietf:rfc:3986"
UUIDS = "https://tools.ietf.org/html/rfc4122"
UUID = "c757873d-ec9a-4326-a141-556f43239520"


@pytest.mark.parametrize(("system", "value"), [
    ("https://example.org/numbers", "1"),
    ("urn:oid:1.2.3.4", "1"),
    ("ldap:somewhere", "1"),
    (URIS, f"urn:uuid:{UUID}"),
    (URIS, "https://example.org/1"),
    (URIS, "file:/1"),
    (URIS, None),
    (UUIDS, UUID),
    (UUIDS, f"urn:uuid:{UUID}"),
    (None, "1"),
])  # fmt: skip
def test_right(system, value):
    identifier = {k: v for k, v in {"system": system, "value": value}.items() if v is not None}
    assert errors(resource("Patient", identifier=[identifier])) == []


@pytest.mark.parametrize(("system", "value"), [
    ("numbers", "1"),
    ("example.org/numbers", "1"),
    (URIS, "1"),
    (URIS, UUID),
    (URIS, "file:1"),
    (UUIDS, "1"),
])  # fmt: skip
def test_wrong(system, value):
    assert len(only_full(resource("Patient", identifier=[{"system": system, "value": value}]))) == 1
