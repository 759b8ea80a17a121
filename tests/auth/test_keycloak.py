"""A real Keycloak as the only authority: its tokens, and no others, let people and programs in."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from fhir_server.access.caller import Caller
from fhir_server.auth.external import ExternalEntrance
from fhir_server.auth.person import Person
from tests.auth.keycloak import keycloak
from tests.auth.node import (
    APP,
    BASE,
    PASSWORD,
    RSA_KEY,
    WrittenByHospital,
    assertion_of,
    challenge_of,
    own_request,
)
from tests.serving import Served, outcome, serving

pytestmark = pytest.mark.keycloak

HOSPITAL = {"resourceType": "Organization", "id": "hospital", "name": "Bệnh viện"}
STORED: tuple[dict[str, Any], ...] = (
    {
        "resourceType": "Practitioner",
        "id": "lan",
        "identifier": [{"system": "http://cccd.vn", "value": "001085000001"}],
    },
    {"resourceType": "Patient", "id": "may", "identifier": [{"system": "http://cccd.vn", "value": "001085012345"}]},
    {"resourceType": "Patient", "id": "other", "identifier": [{"system": "http://cccd.vn", "value": "7"}]},
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with keycloak(BASE, {"keys": [RSA_KEY.as_dict(private=False)]}, APP, PASSWORD) as url:
        yield url


def settings(issuer: str) -> dict[str, Any]:
    return {
        "auth": "on",
        "oidc_issuer": issuer,
        "outbound_hosts": (urlsplit(issuer).netloc,),
        "oidc_identifier_claim": "cccd",
        "oidc_identifier_system": "http://cccd.vn",
    }


@pytest.fixture(scope="module")
def node(issuer: str) -> Iterator[Served]:
    with serving(**settings(issuer)) as served:
        kept = served.service.fhir.authenticator
        served.service.fhir.authenticator = WrittenByHospital()
        for resource in (HOSPITAL, *STORED):
            assert served.put(resource).status_code == 201
        served.service.fhir.authenticator = kept
        yield served


@pytest.fixture(scope="module")
def own_token(issuer: str) -> str:
    """A token of a backend service, by private_key_jwt."""
    assertion = assertion_of(key=RSA_KEY, aud=f"{issuer}/protocol/openid-connect/token", iat=int(time.time()))
    answer = httpx.post(f"{issuer}/protocol/openid-connect/token", data=own_request(assertion=assertion))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def tokens(issuer: str, login: str, scope: str) -> dict[str, Any]:
    """Log in at Keycloak's own page, with PKCE."""
    verifier = secrets.token_urlsafe(48)
    asked = {
        "response_type": "code", "client_id": "app", "redirect_uri": APP, "scope": scope, "state": "s",
        "code_challenge": challenge_of(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    with httpx.Client() as browser:
        page = browser.get(f"{issuer}/protocol/openid-connect/auth?{urlencode(asked)}")
        # Its cookies are for https, as which browsers count this machine, and the client here does not.
        cookies = "; ".join(each.partition(";")[0] for each in page.headers.get_list("set-cookie"))
        form = re.search(r'action="([^"]+)"', page.text)
        assert form, page.text[:2000]
        sent = browser.post(
            unescape(form[1]), data={"username": login, "password": PASSWORD}, headers={"cookie": cookies}
        )
        assert sent.status_code == 302, sent.text[:2000]
        code = parse_qs(urlsplit(sent.headers["location"]).query)["code"][0]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": APP, "client_id": "app"}
        answer = browser.post(f"{issuer}/protocol/openid-connect/token", data={**fields, "code_verifier": verifier})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def lan(issuer: str) -> dict[str, Any]:
    return tokens(issuer, "lan", "openid user/*.rs")


@pytest.fixture(scope="module")
def may(issuer: str) -> dict[str, Any]:
    return tokens(issuer, "may", "openid patient/*.rs")


def caller(node: Served, token: str) -> Caller:
    async def ask() -> Caller:
        return await node.service.fhir.authenticator.authenticate(f"Bearer {token}")

    return node.call(ask)


def test_programs_are_shown_where_to_ask(node: Served, issuer: str):
    told = node.get(".well-known/smart-configuration").json()
    assert told["issuer"] == issuer
    assert told["token_endpoint"] == f"{issuer}/protocol/openid-connect/token"
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert node.send("GET", "http://node/auth/token").status_code == 404


def test_a_backend_service_comes_in(node: Served, own_token: str):
    assert node.get("Patient/may", authorization=f"Bearer {own_token}").status_code == 200
    found = caller(node, own_token)
    assert (found.kind, found.subject, found.scopes.text) == ("client", "his", "system/*.rs")
    assert found.roles == {"his"}
    assert found.organizations == ("hospital",)
    refused = node.ask("DELETE", "Patient/other", authorization=f"Bearer {own_token}")
    outcome(refused, 403, "forbidden")


def test_a_doctor_is_known_by_national_id(node: Served, lan: dict[str, Any]):
    assert node.get("Patient/may", authorization=f"Bearer {lan['access_token']}").status_code == 200
    found = caller(node, lan["access_token"])
    assert (found.kind, found.subject, found.fhir_user) == ("person", "lan", "Practitioner/lan")
    assert found.roles == {"doctor"}


def test_a_patient_sees_their_own_record(node: Served, may: dict[str, Any]):
    found = caller(node, may["access_token"])
    assert (found.fhir_user, found.patient) == ("Patient/may", "may")
    bearer = f"Bearer {may['access_token']}"
    assert node.get("Patient/may", authorization=bearer).status_code == 200
    assert node.get("Patient/other", authorization=bearer).status_code == 404


def test_67_id_and_refresh_tokens_open_nothing(node: Served, issuer: str, lan: dict[str, Any]):
    for name in ("id_token", "refresh_token"):
        outcome(node.get("Patient/may", authorization=f"Bearer {lan[name]}"), 401, "unknown")


def test_68_a_token_that_was_changed_opens_nothing(node: Served, own_token: str):
    head, body, signature = own_token.split(".")
    for token in (f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body}.", f"{head}.{body}"):
        outcome(node.get("Patient/may", authorization=f"Bearer {token}"), 401, "unknown")


def test_68_a_token_for_another_server_opens_nothing(issuer: str, own_token: str):
    with serving(**settings(issuer), oidc_audience="https://other.example/fhir") as other:
        outcome(other.get("Patient/may", authorization=f"Bearer {own_token}"), 401, "unknown")


def test_68_a_token_of_another_algorithm_opens_nothing(issuer: str, own_token: str):
    with serving(**settings(issuer), oidc_algorithms=("ES384",)) as other:
        outcome(other.get("Patient/may", authorization=f"Bearer {own_token}"), 401, "unknown")


def test_a_log_in_that_is_not_sure_enough_is_refused(issuer: str, lan: dict[str, Any]):
    with serving(**settings(issuer), oidc_assurance=("gold",)) as other:
        refused = other.get("Patient", authorization=f"Bearer {lan['access_token']}")
        outcome(refused, 401, "login")
        assert 'acr_values="gold"' in refused.headers["www-authenticate"]


def test_what_the_operator_knows_of_a_person_counts(issuer: str, lan: dict[str, Any]):
    with serving(**settings(issuer)) as other:
        entrance = other.service.entrance
        assert isinstance(entrance, ExternalEntrance)
        person = Person("lan", "Lan", roles=("radiologist",), fhir_user="Practitioner/x", organizations=("b",))
        entrance.records.add("person", "lan", person.as_json())
        found = caller(other, lan["access_token"])
        assert found.roles == {"radiologist"}
        assert (found.fhir_user, found.organizations) == ("Practitioner/x", ("b",))
        entrance.records.change("person", "lan", {**person.as_json(), "disabled": True}, 1)
        outcome(other.get("Patient", authorization=f"Bearer {lan['access_token']}"), 401, "expired")
