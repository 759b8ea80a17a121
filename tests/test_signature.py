"""A signature holds for the resource that was signed, whatever its narrative, and for no other."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from fhir_server.resource.exact import parse_exact
from fhir_server.signature import FILE, canonical, key_in, signed, verify

KEY = ECKey.generate_key("P-256", auto_kid=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
resources = st.dictionaries(st.text(max_size=6), values, max_size=4)


@given(resources, resources)
def test_a_signature_holds_for_what_was_signed_alone(resource: dict[str, Any], other: dict[str, Any]):
    token = signed(resource, KEY, signer="Practitioner/an")
    held = verify(dict(reversed(resource.items())) | {"text": "x", "meta": {"versionId": "7"}}, token)
    assert held is not None
    assert (held.header["signer"], held.key) == ("Practitioner/an", KEY.thumbprint())
    assert (verify(other, token) is not None) == (canonical(other) == canonical(resource))


def test_what_is_said_about_the_signing_cannot_be_changed():
    resource = {"resourceType": "Composition", "id": "a"}
    _, _, tail = signed(resource, KEY, role="secretary").partition("..")
    other, _, _ = signed(resource, KEY, role="chair").partition("..")
    assert verify(resource, f"{other}..{tail}") is None


@given(st.text(max_size=80) | st.text("abcXYZ019-_.", max_size=120))
def test_whatever_is_no_signature_does_not_hold(token: str):
    assert verify({"resourceType": "Composition"}, token) is None


@pytest.mark.parametrize(
    "head",
    [
        {"alg": "none"},
        {"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}},
        {"alg": "ES256"},
        {"alg": "ES256", "jwk": "x"},
        {"alg": "ES256", "jwk": {"kty": "EC"}},
        [],
    ],
)
def test_a_header_that_names_no_key_or_another_algorithm_does_not_hold(head: Any):
    written = urlsafe_b64encode(orjson.dumps(head)).rstrip(b"=").decode()
    assert verify({"resourceType": "Composition"}, f"{written}..AAAA") is None


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    with ThreadPoolExecutor(8) as threads:
        keys = {key.thumbprint() for key in threads.map(key_in, [tmp_path] * 32)}
    assert keys == {key_in(tmp_path).thumbprint()}
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_key_of_a_former_release_is_kept(tmp_path: Path):
    (tmp_path / "images").mkdir()
    former = key_in(tmp_path / "images").thumbprint()
    assert key_in(tmp_path).thumbprint() == former
    assert not (tmp_path / "images" / FILE).exists()
    assert key_in(tmp_path).thumbprint() == former


def test_how_a_string_was_escaped_is_not_signed():
    plain = parse_exact('{"resourceType":"Composition","title":"Hội/chẩn"}'.encode())
    escaped = parse_exact(b'{"resourceType":"Composition","title":"H\\u1ed9i\\/ch\\u1ea9n"}')
    assert verify(plain, signed(escaped, KEY)) is not None
