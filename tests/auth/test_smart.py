"""What the Inferno test kit for SMART App Launch STU 2.2 asks of a server, over HTTP."""

import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.auth.node import (
    APP,
    BASE,
    EC_KEY,
    ISSUER,
    RSA_KEY,
    Node,
    asking,
    assertion_of,
    own_request,
    returned,
)

ANY_ORIGIN = "https://app.example.vn"
APP_ORIGIN = "http://127.0.0.1:9999"


@pytest.fixture(scope="module")
def node():
    with asking(cors_origins=()) as made:
        yield made


@pytest.fixture
def browser(node: Node) -> Node:
    node.forget()
    return node


@pytest.fixture(scope="module")
def granted(node: Node) -> dict[str, Any]:
    node.forget()
    return node.tokens()


# Discovery


def test_the_configuration_has_what_is_required(node: Node):
    answer = node.get("/fhir/.well-known/smart-configuration", accept="text/html")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    told = answer.json()
    for name in ("issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "introspection_endpoint"):
        assert told[name].startswith(ISSUER)
    assert {"authorization_code", "client_credentials"} <= set(told["grant_types_supported"])
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert all(isinstance(each, str) for each in told["capabilities"])
    assert {"launch-standalone", "launch-ehr", "sso-openid-connect", "permission-v2"} <= set(told["capabilities"])
    assert {"RS384", "ES384"} == set(told["token_endpoint_auth_signing_alg_values_supported"])
    assert "registration_endpoint" not in told


@pytest.mark.parametrize("path", ["/fhir/.well-known/smart-configuration", "/fhir/metadata"])
def test_every_origin_may_read_what_is_open(node: Node, path: str):
    assert node.get(path, origin=ANY_ORIGIN).headers["access-control-allow-origin"] == ANY_ORIGIN


def test_the_statement_tells_of_the_security(node: Node):
    security = node.get("/fhir/metadata").json()["rest"][0]["security"]
    assert security["cors"] is True
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    uris = {each["url"]: each["valueUri"] for each in security["extension"][0]["extension"]}
    assert uris["authorize"] == f"{ISSUER}/authorize"
    assert uris["token"] == f"{ISSUER}/token"


# Standalone launch


def test_the_token_answer_has_what_is_required(granted: dict[str, Any]):
    assert granted["token_type"].lower() == "bearer"
    assert granted["expires_in"] <= 3600
    assert granted["patient"] == "may"
    assert set(granted["scope"].split()) == {"openid", "fhirUser", "launch/patient", "offline_access", "patient/*.rs"}
    assert {"access_token", "id_token", "refresh_token"} <= granted.keys()


def test_the_token_answer_is_kept_by_nobody(node: Node):
    answer = node.post("/auth/token", own_request())
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


def test_the_code_comes_back_with_the_state_and_the_issuer(browser: Node):
    page, _ = browser.open(client_id="trusted", scope="openid user/*.rs", state="x" * 64)
    back = returned(browser.login(page))
    assert back["state"] == "x" * 64
    assert back["iss"] == ISSUER
    assert len(back["code"]) >= 40


def test_pages_of_registered_programs_may_ask_for_tokens(node: Node):
    for path in ("/auth/token", "/auth/userinfo", "/auth/jwks", "/auth/.well-known/openid-configuration"):
        asked = node.send("OPTIONS", path, headers={"origin": APP_ORIGIN, "access-control-request-method": "POST"})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == APP_ORIGIN
    answer = node.post("/auth/token", own_request(), origin=APP_ORIGIN)
    assert answer.headers["access-control-allow-origin"] == APP_ORIGIN


def test_a_patient_who_logs_in_is_the_context(browser: Node):
    page, verifier = browser.open()
    page = browser.login(page, "may")
    assert "Lý Thị Mây" in page.text
    back = returned(browser.agreed(page))
    assert browser.redeem(back["code"], verifier).json()["patient"] == "may"


def test_an_encounter_is_chosen(browser: Node):
    page, verifier = browser.open(scope="launch/patient launch/encounter patient/*.rs")
    page = browser.submit(browser.login(page), step="find", find="001085012345")
    page = browser.submit(page, step="choose", patient="may")
    assert "20/11/2026" in page.text
    page = browser.agreed(browser.submit(page, step="choose", encounter="visit"))
    told = browser.redeem(returned(page)["code"], verifier).json()
    assert (told["patient"], told["encounter"]) == ("may", "visit")


def test_a_program_may_post_its_request(browser: Node):
    fields = {
        "response_type": "code", "client_id": "trusted", "redirect_uri": APP, "scope": "user/*.rs", "state": "s" * 30,
        "aud": BASE, "code_challenge": "x" * 43, "code_challenge_method": "S256",
    }  # fmt: skip
    page = browser.follow(browser.post("/auth/authorize", fields))
    assert "code" in returned(browser.login(page))


def test_names_of_the_first_version_come_back(browser: Node):
    told = browser.tokens(scope="launch/patient patient/*.read")
    assert "patient/*.read" in told["scope"].split()


def test_what_is_not_ticked_is_not_granted(browser: Node):
    page, verifier = browser.open(scope="openid offline_access user/Patient.rs user/Observation.rs")
    page = browser.submit(browser.login(page), step="consent", scope=["user/Patient.rs"], answer="yes")
    told = browser.redeem(returned(page)["code"], verifier).json()
    assert told["scope"] == "user/Patient.rs"
    assert "refresh_token" not in told
    assert "id_token" not in told


def test_nothing_ticked_is_asked_again_and_a_refusal_is_told(browser: Node):
    page, _ = browser.open(scope="user/Patient.rs")
    page = browser.submit(browser.login(page), step="consent", answer="yes")
    assert page.status_code == 400
    assert "Chưa có mục nào" in page.text
    refused = returned(browser.submit(page, step="consent", answer="no"))
    assert refused["error"] == "access_denied"
    assert refused["state"] == "a-state-that-nobody-guesses"


# EHR launch


def test_a_program_is_launched_from_another(browser: Node):
    told = browser.tokens(client_id="trusted", scope="launch user/*.rs")
    launched = browser.send(
        "POST",
        "/auth/launch",
        headers={"authorization": f"Bearer {told['access_token']}"},
        json={"patient": "may", "encounter": "visit", "intent": "order-review"},
    )
    assert launched.status_code == 201
    assert launched.json()["iss"] == BASE
    code, verifier = browser.code(scope="launch patient/*.rs", launch=launched.json()["launch"])
    second = browser.redeem(code, verifier).json()
    assert (second["patient"], second["encounter"], second["intent"]) == ("may", "visit", "order-review")
    again, _ = browser.open(scope="launch patient/*.rs", launch=launched.json()["launch"])
    assert returned(again)["error"] == "invalid_request"


def test_a_launch_needs_a_patient_that_the_person_may_see(browser: Node):
    told = browser.tokens(client_id="trusted", scope="launch user/*.rs")
    answer = browser.send(
        "POST",
        "/auth/launch",
        headers={"authorization": f"Bearer {told['access_token']}"},
        json={"patient": "nobody"},
    )
    assert answer.status_code == 400


# OpenID Connect


def test_the_id_token_is_signed_and_says_who(node: Node, granted: dict[str, Any]):
    configuration = node.get("/auth/.well-known/openid-configuration").json()
    for name in ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        assert configuration[name].startswith(ISSUER)
    assert "RS256" in configuration["id_token_signing_alg_values_supported"]
    assert configuration["subject_types_supported"] == ["public"]
    keys = node.get("/auth/jwks").json()
    assert all("d" not in key and key["kid"] and key["kty"] == "RSA" for key in keys["keys"])
    token = jwt.decode(granted["id_token"], KeySet.import_key_set(keys), algorithms=["RS256"])
    claims = token.claims
    assert token.header["kid"]
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, "app", "lan")
    assert claims["iat"] <= time.time() < claims["exp"]
    assert claims["fhirUser"] == f"{BASE}/Practitioner/lan"
    told = node.get("/auth/userinfo", granted["access_token"]).json()
    assert told["fhirUser"] == claims["fhirUser"]


def test_the_nonce_comes_back(browser: Node):
    told = browser.tokens(client_id="trusted", scope="openid user/*.rs", nonce="n-0S6_WzA2Mj")
    claims = jwt.decode(told["id_token"], browser.authority.server.keys.verifying(), algorithms=["RS256"]).claims
    assert claims["nonce"] == "n-0S6_WzA2Mj"
    assert "fhirUser" not in claims


def test_keys_change_and_old_signatures_still_verify(browser: Node):
    before = browser.tokens(client_id="trusted", scope="openid user/*.rs")
    browser.authority.server.keys.rotate()
    after = browser.tokens(client_id="trusted", scope="openid user/*.rs")
    keys = KeySet.import_key_set(browser.get("/auth/jwks").json())
    kids = {jwt.decode(told["id_token"], keys, algorithms=["RS256"]).header["kid"] for told in (before, after)}
    assert len(kids) == 2


@pytest.mark.parametrize(("prompt", "error"), [("none", "login_required"), ("none login", "login_required")])
def test_who_must_not_be_asked_is_not_asked(browser: Node, prompt: str, error: str):
    page, _ = browser.open(prompt=prompt)
    assert returned(page)["error"] == error


def test_a_session_serves_the_next_program_unless_it_wants_the_password(browser: Node):
    browser.code(client_id="trusted", scope="user/*.rs")
    page, _ = browser.open(client_id="trusted", scope="user/*.rs")
    assert "code" in returned(page)
    page, _ = browser.open(client_id="trusted", scope="user/*.rs", prompt="none")
    assert "code" in returned(page)
    page, _ = browser.open(scope="user/*.rs", prompt="none")
    assert returned(page)["error"] == "interaction_required"
    page, _ = browser.open(client_id="trusted", scope="user/*.rs", prompt="login")
    assert 'name="password"' in page.text
    assert "code" in returned(browser.login(page))
    browser.clock.ahead += 120
    page, _ = browser.open(client_id="trusted", scope="user/*.rs", max_age="60")
    assert 'name="password"' in page.text
    assert "code" in returned(browser.login(page))


# Refresh


def test_a_token_is_refreshed_with_and_without_scope(browser: Node):
    told = browser.tokens()
    for scope in (None, told["scope"], "launch/patient patient/Patient.rs"):
        fields = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "client_id": "app"}
        answer = browser.post("/auth/token", fields | ({"scope": scope} if scope else {}))
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        refreshed = answer.json()
        assert refreshed["patient"] == "may"
        assert refreshed["refresh_token"] != told["refresh_token"]
        assert set(refreshed["scope"].split()) == set((scope or told["scope"]).split())
        assert browser.get("/fhir/Patient/may", refreshed["access_token"]).status_code == 200
        told = {**refreshed, "scope": told["scope"]}


# Backend services


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["RS384", "ES384"])
def test_a_backend_service_gets_a_token(node: Node, key: Any):
    answer = node.post("/auth/token", own_request(assertion=assertion_of(key=key)))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["token_type"].lower() == "bearer"
    assert told["scope"] == "system/*.rs"
    assert 0 < told["expires_in"] <= 300
    assert "refresh_token" not in told


def refused(answer: httpx.Response, *statuses: int) -> str:
    assert answer.status_code in statuses, answer.text
    return str(answer.json()["error"])


def test_what_a_backend_service_gets_wrong(node: Node):
    assert refused(node.post("/auth/token", own_request() | {"grant_type": "not_a_grant"}), 400) == (
        "unsupported_grant_type"
    )
    for wrong in ({"client_assertion_type": "not_an_assertion_type"}, {"client_assertion": "no.j.wt"}):
        assert refused(node.post("/auth/token", own_request() | wrong), 400, 401) == "invalid_client"


# Introspection


def test_introspection_tells_of_a_token(browser: Node):
    told = browser.tokens()
    for asking_token in (told["access_token"], browser.own_token()):
        answer = browser.post(
            "/auth/introspect", {"token": told["access_token"]}, authorization=f"Bearer {asking_token}"
        )
        body = answer.json()
        assert body["active"] is True
        assert (body["client_id"], body["scope"], body["patient"]) == ("app", told["scope"], "may")
        assert body["exp"] > time.time()
        assert (body["iss"], body["sub"], body["fhirUser"]) == (ISSUER, "lan", f"{BASE}/Practitioner/lan")
    garbage = browser.post("/auth/introspect", {"token": "garbage"}, authorization=f"Bearer {told['access_token']}")
    assert garbage.json() == {"active": False}
    asserted = {"client_assertion_type": own_request()["client_assertion_type"], "client_assertion": assertion_of()}
    assert browser.post("/auth/introspect", {"token": told["access_token"], **asserted}).json()["active"] is True


def test_a_token_of_another_program_is_nobodys_business(browser: Node):
    told = browser.tokens()
    other = browser.tokens(client_id="trusted", scope="user/*.rs")
    bearer = f"Bearer {other['access_token']}"
    answer = browser.post("/auth/introspect", {"token": told["access_token"]}, authorization=bearer)
    assert answer.json() == {"active": False}
