"""Tokens asked for, and used, by those who should not have them (rows 59 to 75 and 77 of the catalogue)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from joserfc import jwt

from fhir_server.auth.client import Client, ClientError, checked
from tests.auth.node import (
    APP,
    ISSUER,
    RSA_KEY,
    SECRET,
    Node,
    asking,
    assertion_of,
    authorize_request,
    own_request,
    refused,
    returned,
)
from tests.serving import outcome


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with asking(cors_origins=()) as made:
        yield made


@pytest.fixture(autouse=True)
def forgiven(node: Node) -> None:
    """The server forgets who failed before, and who was logged in."""
    node.forgive()


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in (header, claims))
    return ".".join([*parts, signature])


@pytest.mark.parametrize(
    "uri",
    [
        f"{APP}/more",
        f"{APP}#fragment",
        f"{APP}?x=1",
        "http://127.0.0.1:9998/app",
        "http://127.0.0.1:80@evil.example/app",
        "http://127.0.0.1:9999@evil.example/app",
        "http://127.0.0.1:9999/APP",
        "http://127.0.0.1:9999/%61pp",
        "http://localhost:9999/app",
        "https://evil.example/app",
        "javascript:alert(1)",
        "//evil.example",
        "http://127.0.0.1:9999/app\\@evil.example",
        "http://127.0.0.1:9999/a\u00fcp",
        "",
    ],
)
def test_59_codes_are_sent_nowhere_else(node: Node, uri: str):
    page, _ = node.open(redirect_uri=uri)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert page.headers["content-type"].startswith("text/html")


def test_59_an_unknown_program_is_sent_nowhere(node: Node):
    for changed in ({"client_id": "nobody"}, {"client_id": "<script>"}, {"client_id": None}):
        page, _ = node.open(**changed)
        assert page.status_code == 400
        assert "location" not in page.headers
        assert "<script" not in page.text


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/cb",
        "https://app.example/cb#f",
        "https://a@b.example/",
        "https:///cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "myapp:/cb",
        "https://*.example/cb",
        "https://app.example/ cb",
        "http://localhost:80@evil.example/",
        "https://app.example/\\..",
    ],
)
def test_59_where_codes_must_not_go_is_not_registered(uri: str):
    with pytest.raises(ClientError):
        checked(Client("app", "?", "none", "user/*.rs", redirect_uris=(uri,)))


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": "short"},
    ],
)
def test_60_no_code_without_a_sound_challenge(node: Node, changed: dict[str, str | None]):
    page, _ = node.open(**changed)
    assert page.status_code == 302
    told = returned(page)
    assert (told["error"], told["state"]) == ("invalid_request", "a-state-that-nobody-guesses")


@pytest.mark.parametrize("verifier", [None, "x" * 42, "x" * 43, "x" * 129, "\u00e9" * 43])
def test_60_no_token_without_the_verifier(node: Node, verifier: str | None):
    code, _ = node.code(client_id="trusted", scope="user/*.rs")
    refused(node.redeem(code, "", code_verifier=verifier, client_id="trusted"), *(
        ("invalid_request",) if verifier and not verifier.isascii() else ("invalid_grant",)
    ))  # fmt: skip


def test_61_a_code_that_comes_again_takes_its_tokens_away(node: Node):
    code, verifier = node.code(client_id="trusted", scope="openid offline_access user/*.rs")
    told = node.redeem(code, verifier, client_id="trusted").json()
    assert node.get("/fhir/Patient/may", told["access_token"]).status_code == 200
    refused(node.redeem(code, verifier, client_id="trusted"), "invalid_grant")
    assert node.get("/fhir/Patient/may", told["access_token"]).status_code == 401
    fields = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "client_id": "trusted"}
    refused(node.post("/auth/token", fields), "invalid_grant")


def test_61_of_many_who_bring_a_code_at_once_one_gets_a_token(node: Node):
    code, verifier = node.code(client_id="trusted", scope="user/*.rs")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: node.redeem(code, verifier, client_id="trusted"), range(8)))
    assert sum(answer.status_code == 200 for answer in answers) <= 1
    for answer in answers:
        if answer.status_code == 200:
            assert node.get("/fhir/Patient/may", answer.json()["access_token"]).status_code == 401


def test_61_a_code_lives_for_a_minute(node: Node):
    code, verifier = node.code(client_id="trusted", scope="user/*.rs")
    node.clock.ahead += 61
    refused(node.redeem(code, verifier, client_id="trusted"), "invalid_grant")


def test_62_the_code_of_another_program(node: Node):
    code, verifier = node.code(client_id="trusted", scope="user/*.rs")
    refused(node.redeem(code, verifier, client_id="app"), "invalid_grant")
    refused(node.redeem(code, verifier, client_id="trusted", redirect_uri=f"{APP}/x"), "invalid_grant")
    assert node.redeem(code, verifier, client_id="trusted").status_code == 200


def test_62_the_refresh_token_of_another_program(node: Node):
    told = node.tokens(client_id="trusted", scope="offline_access user/*.rs")
    fields = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "client_id": "app"}
    refused(node.post("/auth/token", fields), "invalid_grant")


def test_62_a_confidential_program_proves_itself(node: Node):
    code, verifier = node.code(client_id="confidential", scope="user/*.rs")
    refused(node.redeem(code, verifier, client_id="confidential"), "invalid_client", 400, 401)
    basic = base64.b64encode(b"confidential:wrong").decode()
    answer = node.post("/auth/token", {"grant_type": "authorization_code"}, authorization=f"Basic {basic}")
    refused(answer, "invalid_client", 401)
    assert answer.headers["www-authenticate"].startswith("Basic")
    told = node.redeem(code, verifier, client_id="confidential", client_secret=SECRET)
    assert told.status_code == 200


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe:x").decode(), "Basic Og=="]
)
def test_62_a_header_that_proves_nothing(node: Node, header: str):
    refused(node.post("/auth/token", {"grant_type": "client_credentials"}, authorization=header), "invalid_client", 401)


def test_63_a_token_for_another_server(node: Node):
    for audience in ("https://evil.example/fhir", None, "", f"{ISSUER}"):
        page, _ = node.open(aud=audience)
        assert returned(page)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "scope",
    ["system/*.cruds", "patient/*.dus", "everything", "", None, "user/*.rs " + "x" * 9_000, "user/Observation.cruds"],
)
def test_64_scopes_that_are_not_for_a_program(node: Node, scope: str | None):
    page, _ = node.open(client_id="narrow", scope=scope)
    assert returned(page)["error"] == "invalid_scope"


def test_64_a_program_gets_no_more_than_it_was_registered_for(node: Node):
    told = node.tokens(client_id="narrow", scope="openid patient/*.cruds offline_access", login="may")
    assert told["scope"] == "openid patient/Observation.rs"
    assert "refresh_token" not in told


@pytest.mark.parametrize(
    "scope",
    ["system/*.cruds", "system/Observation.c", "user/*.rs", "patient/*.rs", "openid", "", "system/*.dus", '"',
     "system/Observation.rs?subject:Patient.name=a"],
)  # fmt: skip
def test_64_scopes_that_are_not_for_a_backend_service(node: Node, scope: str):
    refused(node.post("/auth/token", own_request(scope)), "invalid_request" if scope == '"' else "invalid_scope")


def test_64_a_very_long_scope(node: Node):
    refused(node.post("/auth/token", own_request("system/*.rs " * 100_000)), "invalid_request", 413)


def test_64_a_public_program_has_nothing_for_itself(node: Node):
    fields = {"grant_type": "client_credentials", "client_id": "app", "scope": "system/*.rs"}
    refused(node.post("/auth/token", fields), "invalid_client", 400, 401)
    refused(
        node.post("/auth/token", {"grant_type": "client_credentials", "scope": "system/*.rs",
                                  "client_id": "confidential", "client_secret": SECRET}),
        "unauthorized_client",
    )  # fmt: skip


def refreshing(token: str, client: str = "trusted", **more: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token, "client_id": client, **more}


def test_65_a_refresh_token_that_comes_again_ends_its_family(node: Node):
    first = node.tokens(client_id="trusted", scope="offline_access user/*.rs")
    second = node.post("/auth/token", refreshing(first["refresh_token"])).json()
    assert node.get("/fhir/Patient/may", second["access_token"]).status_code == 200
    refused(node.post("/auth/token", refreshing(first["refresh_token"])), "invalid_grant")
    assert node.get("/fhir/Patient/may", second["access_token"]).status_code == 401
    refused(node.post("/auth/token", refreshing(second["refresh_token"])), "invalid_grant")


def test_65_of_many_who_refresh_at_once_one_may_succeed(node: Node):
    told = node.tokens(client_id="trusted", scope="offline_access user/*.rs")
    with ThreadPoolExecutor(8) as pool:
        asked = [refreshing(told["refresh_token"])] * 8
        answers = list(pool.map(lambda fields: node.post("/auth/token", fields).status_code, asked))
    assert answers.count(200) <= 1
    assert set(answers) <= {200, 400}


def test_65_a_refresh_token_names_a_public_program_and_proves_no_other(node: Node):
    told = node.tokens(client_id="trusted", scope="offline_access user/*.rs")
    fields = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert node.post("/auth/token", fields).status_code == 200
    code, verifier = node.code(client_id="confidential", scope="offline_access user/*.rs")
    told = node.redeem(code, verifier, client_id="confidential", client_secret=SECRET).json()
    fields = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    refused(node.post("/auth/token", fields), "invalid_client", 400, 401)
    refused(node.post("/auth/token", {"grant_type": "refresh_token", "refresh_token": "x"}), "invalid_client", 400, 401)


def test_66_a_refreshed_token_has_no_more_scopes(node: Node):
    told = node.tokens(client_id="trusted", scope="offline_access user/Patient.rs")
    for scope in ("user/*.rs", "user/Patient.rs openid", "offline_access user/Patient.cruds", "system/*.rs"):
        refused(node.post("/auth/token", refreshing(told["refresh_token"], scope=scope)), "invalid_scope")
    assert node.post("/auth/token", refreshing(told["refresh_token"], scope="user/Patient.r")).status_code == 200


def test_67_other_tokens_open_nothing(node: Node):
    told = node.tokens(client_id="trusted", scope="openid offline_access user/*.rs")
    for name in ("id_token", "refresh_token"):
        answer = node.get("/fhir/Patient/may", told[name])
        outcome(answer, 401, "unknown")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert node.get("/auth/userinfo", told["refresh_token"]).status_code == 401


FOREIGN_TOKENS = {
    "signed-by-us-for-nobody": lambda node: jwt.encode(
        {"alg": "RS256"}, {"iss": ISSUER, "aud": "x", "sub": "lan", "scope": "user/*.cruds"},
        node.authority.server.keys.signing(), algorithms=["RS256"],
    ),
    "unsigned": lambda node: unsigned({"alg": "none"}, {"sub": "lan", "scope": "user/*.cruds"}),
    "random": lambda node: f"nca_{secrets.token_urlsafe(32)}",
    "an-assertion": lambda node: assertion_of(),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN_TOKENS)
def test_68_tokens_of_others_open_nothing(node: Node, name: str):
    outcome(node.get("/fhir/Patient/may", FOREIGN_TOKENS[name](node)), 401, "unknown")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer  ", "Basic Og==", "Bearer a b", "Bearer \xff\xfe", "Bearer " + "x" * 9_000, "Digest x"],
)
def test_68_a_header_without_a_token(node: Node, header: str):
    answer = node.send("GET", "/fhir/Patient/may", headers={"authorization": header.encode("latin-1")})
    outcome(answer, 401, "login")
    assert answer.headers["www-authenticate"] == 'Bearer realm="FHIR"'


def test_69_a_parameter_comes_once(node: Node):
    for name in ("client_id", "grant_type", "scope", "code"):
        fields = [*own_request().items(), (name, "a"), (name, "b")]
        refused(node.post("/auth/token", fields), "invalid_request")
    fields = [*authorize_request("v" * 43).items(), ("client_id", "other-app")]
    page = node.send("GET", "/auth/authorize", params=fields)
    assert page.status_code == 400
    assert "location" not in page.headers


def test_69_tokens_are_asked_for_by_a_posted_form(node: Node):
    refused(node.get("/auth/token?grant_type=client_credentials"), "invalid_request", 400, 405)
    refused(node.send("POST", "/auth/token", json=own_request()), "invalid_request", 400, 415)
    refused(node.post("/auth/token?scope=x", own_request()), "invalid_request")
    refused(node.send("PUT", "/auth/token", data=own_request()), "invalid_request", 400, 405)
    refused(node.send("POST", "/auth/token", content=b"\xff\xfe=%zz&&&", headers={
        "content-type": "application/x-www-form-urlencoded"}), "invalid_request")  # fmt: skip


def test_70_a_token_in_the_url_is_refused(node: Node):
    token = node.own_token()
    for path in ("/fhir/Patient/may", "/fhir/Patient"):
        answer = node.get(f"{path}?access_token={token}")
        assert answer.status_code in (400, 401)
        assert token not in answer.text
        answer = node.get(f"{path}?access_token={token}", token)
        outcome(answer, 400, "invalid")


def test_73_introspection_is_for_those_who_prove_themselves(node: Node):
    token = node.own_token()
    refused(node.post("/auth/introspect", {"token": token}), "invalid_client", 400, 401)
    refused(node.post("/auth/introspect", {"token": token, "client_id": "app"}), "invalid_client", 400, 401)
    refused(node.post("/auth/introspect", {"token": token}, authorization="Bearer garbage"), "invalid_client", 401)
    own = f"Bearer {token}"
    for garbage in ("garbage", "a.b.c", "x" * 5000, token[:-1]):
        assert node.post("/auth/introspect", {"token": garbage}, authorization=own).json() == {"active": False}
    refused(node.post("/auth/introspect", {}, authorization=own), "invalid_request")


def test_73_a_used_refresh_token_is_told_as_inactive_and_harms_nobody(node: Node):
    first = node.tokens(client_id="trusted", scope="offline_access user/*.rs")
    second = node.post("/auth/token", refreshing(first["refresh_token"])).json()
    own = f"Bearer {second['access_token']}"
    told = node.post("/auth/introspect", {"token": first["refresh_token"]}, authorization=own).json()
    assert told == {"active": False}
    assert node.get("/fhir/Patient/may", second["access_token"]).status_code == 200


def test_74_what_was_revoked_opens_nothing_at_once(node: Node):
    told = node.tokens(client_id="trusted", scope="offline_access user/*.rs")
    assert node.get("/fhir/Patient/may", told["access_token"]).status_code == 200
    answer = node.post("/auth/revoke", {"token": told["refresh_token"], "client_id": "trusted"})
    assert (answer.status_code, answer.json()) == (200, {})
    outcome(node.get("/fhir/Patient/may", told["access_token"]), 401, "expired")
    assert node.post("/auth/revoke", {"token": told["refresh_token"], "client_id": "trusted"}).status_code == 200


def test_74_one_access_token_can_be_revoked_alone(node: Node):
    first = node.tokens(client_id="trusted", scope="offline_access user/*.rs")
    second = node.post("/auth/token", refreshing(first["refresh_token"])).json()
    node.post("/auth/revoke", {"token": first["access_token"], "client_id": "trusted"})
    assert node.get("/fhir/Patient/may", first["access_token"]).status_code == 401
    assert node.get("/fhir/Patient/may", second["access_token"]).status_code == 200


def test_74_the_token_of_another_program_is_not_revoked(node: Node):
    told = node.tokens(client_id="trusted", scope="user/*.rs")
    refused(node.post("/auth/revoke", {"token": told["access_token"], "client_id": "app"}), "invalid_grant")
    assert node.get("/fhir/Patient/may", told["access_token"]).status_code == 200


def test_74_who_is_disabled_is_out_at_once(node: Node):
    records = node.authority.records
    token = node.tokens(client_id="trusted", scope="user/*.rs")["access_token"]
    own = node.own_token()
    for kind, name, held in (("person", "lan", token), ("client", "his", own)):
        assert node.get("/fhir/Patient/may", held).status_code == 200
        record = records.read(kind, name)
        assert record is not None
        records.change(kind, name, {**record.body, "disabled": True}, record.revision)
        outcome(node.get("/fhir/Patient/may", held), 401, "expired")
        records.change(kind, name, record.body, record.revision + 1)
        assert node.get("/fhir/Patient/may", held).status_code == 200


def test_74_a_token_ends_with_its_time(node: Node):
    token = node.own_token()
    assert node.get("/fhir/Patient/may", token).status_code == 200
    node.clock.ahead += 301
    try:
        outcome(node.get("/fhir/Patient/may", token), 401, "expired")
    finally:
        node.clock.ahead -= 301


METADATA = {"client_name": "Mới", "redirect_uris": ["https://app.example.vn/cb"], "scope": "openid patient/*.rs",
            "token_endpoint_auth_method": "none"}  # fmt: skip


def test_75_programs_do_not_register_themselves_unless_they_may(node: Node):
    assert node.send("POST", "/auth/register", json=METADATA).status_code == 404


def test_75_what_registers_itself_is_bounded():
    with asking(client_registration=True) as node:
        made = node.send("POST", "/auth/register", json=METADATA)
        assert made.status_code == 201, made.text
        assert made.json()["redirect_uris"] == METADATA["redirect_uris"]
        bad: tuple[dict[str, Any], ...] = (
            {"software_statement": "a.b.c"}, {"redirect_uris": ["http://evil.example"]}, {"redirect_uris": []},
            {"scope": "system/*.rs"}, {"scope": "all"}, {"token_endpoint_auth_method": "magic"}, {"redirect_uris": 7},
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://127.0.0.1/jwks"},
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://169.254.169.254/"},
            {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [RSA_KEY.as_dict(private=True)]}},
        )  # fmt: skip
        for changed in bad:
            answer = node.send("POST", "/auth/register", json=METADATA | changed)
            assert answer.status_code == 400, changed
            assert answer.json()["error"].startswith(("invalid_", "unapproved_"))
        for body in (b"", b"[]", b"{", b"null"):
            assert node.send("POST", "/auth/register", content=body).status_code == 400
        statuses = [node.send("POST", "/auth/register", json=METADATA).status_code for _ in range(50)]
        assert statuses[-1] == 429
        assert "registration_endpoint" in node.get("/fhir/.well-known/smart-configuration").json()


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:9999.evil.example"])
def test_77_pages_of_others_learn_nothing(node: Node, origin: str):
    for path in ("/auth/token", "/auth/introspect", "/auth/userinfo"):
        asked = node.send("OPTIONS", path, headers={"origin": origin, "access-control-request-method": "POST"})
        assert "access-control-allow-origin" not in asked.headers
        assert "access-control-allow-origin" not in node.post(path, own_request(), origin=origin).headers
    answer = node.get("/fhir/Patient/may", node.own_token(), origin=origin)
    assert "access-control-allow-origin" not in answer.headers
