"""What scopes let a request come through, before anybody looks at data."""

import pytest

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.rest.authentication import NobodyAsked, check_scopes
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.failure import BadToken, ScopeMissing
from tests.serving import Served, outcome, serving


def asked(served: Served, scopes: str, method: str, path: str, kind: str = "client") -> None:
    where, _, query = path.partition("?")
    exchange = Exchange(method, [step for step in where.split("/") if step], query=query)
    exchange.caller = Caller(kind, "his", parse_scopes(scopes))  # type: ignore[arg-type]
    check_scopes(exchange.caller, served.service.fhir.router.find(exchange), exchange)


@pytest.fixture(scope="module")
def served():
    with serving() as node:
        yield node


@pytest.mark.parametrize(
    ("scopes", "method", "path"),
    [
        ("system/Patient.r", "GET", "/Patient/1"),
        ("system/Patient.r", "GET", "/Patient/1/_history/1"),
        ("system/*.s", "GET", "/Patient?name=a"),
        ("patient/Observation.s", "GET", "/Patient/1/Observation"),
        ("user/Patient.read", "GET", "/Patient"),
        ("user/Patient.write", "PUT", "/Patient/1"),
        ("system/Encounter.c", "POST", "/Encounter"),
        ("system/Encounter.d", "DELETE", "/Encounter/1"),
        ("system/Encounter.c", "POST", "/"),
    ],
)
def test_what_a_scope_is_about_comes_through(served: Served, scopes: str, method: str, path: str):
    asked(served, scopes, method, path)


@pytest.mark.parametrize(
    ("scopes", "method", "path", "wanted"),
    [
        ("system/Patient.s", "GET", "/Patient/1", "system/Patient.r"),
        ("system/Patient.r", "GET", "/Patient?name=a", "system/Patient.s"),
        ("system/Observation.cruds", "GET", "/Patient/1", "system/Patient.r"),
        ("patient/Patient.rs", "GET", "/Patient/1/Observation", "system/Observation.s"),
        ("system/Patient.rs", "PUT", "/Patient/1", "system/Patient.u"),
        ("system/Patient.cru", "DELETE", "/Patient/1", "system/Patient.d"),
        ("openid", "POST", "/", "system/*.crud"),
        ("system/*.cud", "GET", "/", "system/*.s"),
    ],
)
def test_another_scope_is_named(served: Served, scopes: str, method: str, path: str, wanted: str):
    with pytest.raises(ScopeMissing) as refused:
        asked(served, scopes, method, path)
    assert refused.value.challenge.endswith(f'error="insufficient_scope", scope="{wanted}"')


class OneToken:
    async def authenticate(self, header: str | None) -> Caller:
        if header != "Bearer good":
            raise BadToken("This token is unknown.")
        return Caller("client", "his", parse_scopes("system/Patient.rs"))


def test_the_answers_of_a_server_that_asks(served: Served):
    served.service.fhir.authenticator = OneToken()
    try:
        refused = served.get("Patient", authorization="Bearer bad")
        outcome(refused, 401, "login")
        assert refused.headers["www-authenticate"] == 'Bearer realm="FHIR", error="invalid_token"'
        missing = served.get("Encounter", authorization="Bearer good")
        outcome(missing, 403, "forbidden")
        assert 'scope="system/Encounter.s"' in missing.headers["www-authenticate"]
        assert served.get("Patient", authorization="Bearer good").status_code == 200
        assert served.get("metadata").status_code == 200
        bundle: dict[str, object] = {"resourceType": "Bundle", "type": "batch"}
        bundle["entry"] = [{"request": {"method": "GET", "url": url}} for url in ("Patient", "Encounter")]
        answer = served.ask("POST", "", bundle, authorization="Bearer good")
        statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
        assert statuses == ["200", "403"]
    finally:
        served.service.fhir.authenticator = NobodyAsked()


def test_nobody_is_asked_where_nobody_else_comes_in(served: Served):
    assert served.get("Patient").status_code == 200
    assert Exchange("GET", ()).caller is LOCAL
