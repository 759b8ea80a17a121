"""The server's own app: registered by itself, and how somebody leaves it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fhir_server.auth.browser_app import APP, register_app
from fhir_server.auth.client import client_of
from tests.auth.node import ROOT, Node, asking

BACK = f"{ROOT}/login/back"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with asking() as started:
        yield started


def app_token(node: Node) -> str:
    """Log in with the app; nobody is asked whether it may."""
    page, verifier = node.open(client_id=APP.id, redirect_uri=BACK, scope=APP.scope)
    if 'value="login"' in page.text:
        page = node.login(page)
    code = page.headers["location"].partition("code=")[2].partition("&")[0]
    answer = node.redeem(code, verifier, client_id=APP.id, redirect_uri=BACK)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_the_app_needs_no_consent_and_knows_who_is_there(node: Node):
    told = node.get("/auth/userinfo", app_token(node)).json()
    assert told["roles"] == ["doctor"]
    assert told["organizations"] == ["hospital"]


def test_logging_out_ends_the_token_and_the_session(node: Node):
    token = app_token(node)
    answer = node.post("/auth/logout", {}, authorization=f"Bearer {token}")
    assert answer.status_code == 204
    assert node.get("/fhir/Patient", token).status_code == 401
    page, _ = node.open(client_id=APP.id, redirect_uri=BACK, scope=APP.scope)
    assert 'value="login"' in page.text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nobody-gave-this", "Basic x"])
def test_without_a_token_nobody_is_logged_out(node: Node, header: str):
    token = app_token(node)
    answer = node.post("/auth/logout", {}, **({"authorization": header} if header else {}))
    assert answer.status_code == 401
    assert node.get("/fhir/Patient", token).status_code == 200
    page, _ = node.open(client_id=APP.id, redirect_uri=BACK, scope=APP.scope)
    assert page.status_code == 302


def test_an_operator_who_disabled_the_app_stays_heeded(node: Node):
    records = node.authority.records
    record = records.read("client", APP.id)
    assert record is not None
    records.change("client", APP.id, {**record.body, "disabled": True}, record.revision)
    register_app(records, "http://elsewhere")
    changed = records.read("client", APP.id)
    assert changed is not None
    assert client_of(changed.body).disabled
    assert client_of(changed.body).redirect_uris == ("http://elsewhere/login/back",)
