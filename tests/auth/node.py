"""A server that asks who is there, with people and programs of its own, for tests."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from fhir_server.access.caller import Caller
from fhir_server.access.scope import EVERYTHING
from fhir_server.auth.authority import Authority
from fhir_server.auth.client import Client, digest
from fhir_server.auth.own import OwnEntrance
from fhir_server.auth.person import Person, with_password
from fhir_server.rest.authentication import NobodyAsked
from tests.serving import Served, serving

ROOT = "http://node"
BASE = f"{ROOT}/fhir"
ISSUER = f"{ROOT}/auth"
APP = "http://127.0.0.1:9999/app"
SECRET = "a-secret-of-32-characters-or-more"
PASSWORD = "một câu dễ nhớ của Lan"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

RSA_KEY = RSAKey.generate_key(2048, auto_kid=True)
EC_KEY = ECKey.generate_key("P-384", auto_kid=True)
EVERY_SCOPE = (
    "openid fhirUser profile launch launch/patient launch/encounter offline_access online_access "
    "patient/*.cruds user/*.cruds"
)

CLIENTS = (
    Client("his", "HIS bệnh viện", "private_key_jwt", "system/*.rs system/Patient.cruds",
           roles=("his",), organizations=("hospital",),
           jwks={"keys": [RSA_KEY.as_dict(private=False), EC_KEY.as_dict(private=False)]}),
    Client("other-his", "HIS khác", "private_key_jwt", "system/*.rs",
           jwks={"keys": [RSA_KEY.as_dict(private=False)]}),
    Client("app", "Sổ khám", "none", EVERY_SCOPE, redirect_uris=(APP,)),
    Client("other-app", "Ứng dụng khác", "none", EVERY_SCOPE, redirect_uris=(APP,)),
    Client("confidential", "Cổng thông tin", "client_secret_basic", EVERY_SCOPE, redirect_uris=(APP,),
           secret=digest(SECRET)),
    Client("trusted", "Ứng dụng của cơ sở", "none", EVERY_SCOPE, redirect_uris=(APP,), trusted=True),
    Client("narrow", "Chỉ xem", "none", "openid patient/Observation.rs", redirect_uris=(APP,), trusted=True),
)  # fmt: skip
HASHED = with_password(Person("nobody", "?"), PASSWORD).password
PEOPLE = (
    Person("lan", "Bs. Nguyễn Thị Lan", HASHED, ("doctor",), "Practitioner/lan", ("hospital",)),
    Person("may", "Lý Thị Mây", HASHED, ("patient",), "Patient/may"),
)
STORED: tuple[dict[str, Any], ...] = (
    {"resourceType": "Patient", "id": "may", "name": [{"family": "Lý", "given": ["Thị", "Mây"]}], "gender": "female",
     "birthDate": "1985-04-12", "identifier": [{"system": "http://cccd.vn", "value": "001085012345"}]},
    {"resourceType": "Patient", "id": "hoa", "name": [{"family": "Đặng", "given": ["Văn", "Hoà"]}]},
    {"resourceType": "Practitioner", "id": "lan", "name": [{"text": "Nguyễn Thị Lan"}]},
    {"resourceType": "Encounter", "id": "visit", "status": "finished", "subject": {"reference": "Patient/may"},
     "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
     "period": {"start": "2026-11-20T08:00:00+07:00"}},
)  # fmt: skip


class WrittenByHospital:
    """Takes everybody for the hospital's own system, so that what they write is the hospital's."""

    async def authenticate(self, header: str | None) -> Caller:
        return Caller("client", "his", EVERYTHING, frozenset({"his"}), organizations=("hospital",), client="his")


class Clock:
    """The time, which a test may move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Browser:
    """Somebody before our pages; redirects are followed only within them."""

    root = ROOT
    cookies: httpx.Cookies

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        raise NotImplementedError

    def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return self.send("GET", path, headers=headers)

    def post(self, path: str, fields: Mapping[str, str] | list[tuple[str, str]], **headers: str) -> httpx.Response:
        named = {"content-type": "application/x-www-form-urlencoded", **headers}
        return self.send("POST", path, content=urlencode(fields), headers=named)

    def submit(self, page: httpx.Response, **fields: str | list[str]) -> httpx.Response:
        """Send the form of a page that has these fields, with what it hides."""
        forms = re.findall(r"<form.*?</form>", page.text, re.DOTALL)
        step = fields.pop("step")
        form = next(each for each in forms if f'name="step" value="{step}"' in each)
        hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
        target = unescape(re.search(r'action="([^"]+)"', form)[1])  # type: ignore[index]
        pairs = [(name, unescape(value)) for name, value in hidden]
        for name, value in fields.items():
            pairs += [(name, each) for each in ([value] if isinstance(value, str) else value)]
        return self.post(target, pairs)

    def follow(self, answer: httpx.Response) -> httpx.Response:
        while answer.status_code == 303:
            answer = self.get(answer.headers["location"])
        return answer

    def login(self, page: httpx.Response, login: str = "lan", password: str = PASSWORD) -> httpx.Response:
        return self.follow(self.submit(page, step="login", login=login, password=password))

    def agreed(self, page: httpx.Response) -> httpx.Response:
        """Tick everything."""
        ticks = [unescape(value) for value in re.findall(r'type="checkbox" name="scope" value="([^"]+)"', page.text)]
        return self.submit(page, step="consent", scope=ticks, answer="yes")

    def forget(self) -> None:
        """Be another browser."""
        self.cookies.clear()


class Node(Browser):
    """A server that is asked by path below its root; answers are httpx's, redirects are not followed."""

    def __init__(self, served: Served, clock: Clock) -> None:
        self.served = served
        self.clock = clock
        entrance = served.service.entrance
        assert isinstance(entrance, OwnEntrance)
        self.authority: Authority = entrance.authority
        self.cookies = served.cookies

    def forgive(self) -> None:
        """Forget who failed before, and who was logged in."""
        self.forget()
        for name, record in self.authority.records.listed("attempts"):
            self.authority.records.change("attempts", name, None, record.revision)

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        url = path if "://" in path else f"{ROOT}{path}"
        answer: httpx.Response = self.served.send(method, url, **arguments)
        return answer

    # A backend service

    def own_token(self, scope: str = "system/*.rs", client: str = "his") -> str:
        answer = self.post("/auth/token", own_request(scope, client))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    # A person

    def open(self, **changed: str | None) -> tuple[httpx.Response, str]:
        """Ask for a code as a program does; return the answer and the verifier."""
        verifier = secrets.token_urlsafe(48)
        return self.get(f"/auth/authorize?{urlencode(authorize_request(verifier, **changed))}"), verifier

    def code(self, login: str = "lan", patient: str = "may", **changed: str | None) -> tuple[str, str]:
        """Go the whole way; return the code and the verifier."""
        page, verifier = self.open(**changed)
        if 'value="login"' in page.text:
            page = self.login(page, login)
        if 'name="find"' in page.text:
            page = self.submit(self.submit(page, step="find", find="Mây"), step="choose", patient=patient)
        if 'value="consent"' in page.text:
            page = self.agreed(page)
        assert page.status_code == 302, page.text
        back = returned(page)
        assert "code" in back, back
        return back["code"], verifier

    def redeem(self, code: str, verifier: str, **changed: str | None) -> httpx.Response:
        fields = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": APP, "client_id": "app",
            "code_verifier": verifier, **changed,
        }  # fmt: skip
        return self.post("/auth/token", {name: value for name, value in fields.items() if value is not None})

    def tokens(self, **changed: str) -> dict[str, Any]:
        """Go the whole way and get tokens."""
        client = changed.get("client_id", "app")
        answer = self.redeem(*self.code(**changed), client_id=client)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def returned(answer: httpx.Response) -> dict[str, str]:
    """What a redirect tells the program."""
    assert answer.headers["location"].startswith(APP), answer.headers["location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def authorize_request(verifier: str, **changed: str | None) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": APP,
        "scope": "openid fhirUser launch/patient offline_access patient/*.rs",
        "state": "a-state-that-nobody-guesses",
        "aud": BASE,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        **changed,
    }
    return {name: value for name, value in fields.items() if value is not None}


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def own_request(scope: str = "system/*.rs", client: str = "his", assertion: str | None = None) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion_of(client) if assertion is None else assertion,
    }


def assertion_of(client: str = "his", key: Key = EC_KEY, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A signed assertion; a claim or header of None is left out."""
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    heads = {"alg": algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
    told = {
        "iss": client, "sub": client, "aud": f"{ISSUER}/token", "exp": int(time.time()) + 240,
        "jti": secrets.token_hex(16), **claims,
    }  # fmt: skip
    return jwt.encode(
        {name: value for name, value in heads.items() if value is not None},
        {name: value for name, value in told.items() if value is not None},
        key,
        algorithms=["RS256", "RS384", "ES384", "RS512", "ES256"],
    )


@contextmanager
def asking(**chosen: Any) -> Iterator[Node]:
    """A server that asks who is there."""
    clock = Clock()
    with serving(clock=clock, auth="on", **chosen) as served:
        node = Node(served, clock)
        records = node.authority.records
        for client in CLIENTS:
            records.add("client", client.id, client.as_json())
        for person in PEOPLE:
            records.add("person", person.login, person.as_json())
        kept = served.service.fhir.authenticator
        served.service.fhir.authenticator = NobodyAsked()
        assert served.put({"resourceType": "Organization", "id": "hospital", "name": "Bệnh viện"}).status_code == 201
        served.service.fhir.authenticator = WrittenByHospital()
        for resource in STORED:
            answer = served.put(resource)
            assert answer.status_code == 201, answer.text
        served.service.fhir.authenticator = kept
        yield node


def refused(answer: httpx.Response, error: str, *statuses: int) -> None:
    assert answer.status_code in (statuses or (400,)), answer.text
    told = answer.json()
    assert told["error"] == error, told
    assert not {"access_token", "refresh_token", "id_token"} & told.keys()
    assert "Traceback" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
