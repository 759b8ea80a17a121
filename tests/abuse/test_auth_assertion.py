"""Assertions and keys that prove nothing (rows 51 to 58, 68 and 76 of the catalogue)."""

from __future__ import annotations

import base64
import hmac
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx
import orjson
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from fhir_server.auth.client import Client, ClientError, checked
from fhir_server.auth.outbound import Documents, Outbound, Unreachable, is_public
from tests.auth.node import (
    ASSERTION_TYPE,
    EC_KEY,
    ISSUER,
    RSA_KEY,
    Node,
    asking,
    assertion_of,
    own_request,
    refused,
)

SECONDS = 2.0


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with asking(cors_origins=()) as made:
        yield made


@pytest.fixture(autouse=True)
def forgiven(node: Node) -> None:
    """The server forgets who failed before, and who was logged in."""
    node.forgive()


def with_assertion(node: Node, assertion: str) -> httpx.Response:
    started = time.perf_counter()
    answer = node.post("/auth/token", own_request(assertion=assertion))
    assert time.perf_counter() - started < SECONDS
    # A good request right after it is answered.
    assert node.post("/auth/token", own_request()).status_code == 200
    return answer


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in (header, claims))
    return ".".join([*parts, signature])


def claims(**changed: Any) -> dict[str, Any]:
    told = {"iss": "his", "sub": "his", "aud": f"{ISSUER}/token", "exp": int(time.time()) + 200, "jti": "j"}
    return told | changed


def raw_claims(text: str, typ: str | None = "JWT") -> str:
    """An assertion with claims that no JSON writer makes, rightly signed."""
    header = {"alg": "ES384", "kid": EC_KEY.kid} | ({"typ": typ} if typ else {})
    return jws.serialize_compact(header, text.encode(), EC_KEY, ["ES384"])


FOREIGN = RSAKey.generate_key(2048, parameters={"kid": str(RSA_KEY.kid)})


def hs256_with_public_key() -> str:
    head = unsigned({"alg": "HS256", "typ": "JWT", "kid": RSA_KEY.kid}, claims(jti=secrets.token_hex()))[:-1]
    mac = hmac.digest(RSA_KEY.as_pem(private=False), head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


ASSERTIONS: dict[str, Any] = {
    "51-none": lambda: unsigned({"alg": "none", "typ": "JWT", "kid": RSA_KEY.kid}, claims()),
    "51-none-in-capitals": lambda: unsigned({"alg": "NONE", "typ": "JWT", "kid": RSA_KEY.kid}, claims()),
    "51-hs256-with-the-public-key": hs256_with_public_key,
    "51-foreign-key-of-the-same-id": lambda: assertion_of(key=FOREIGN),
    "52-rs256": lambda: assertion_of(key=RSA_KEY, header={"alg": "RS256"}),
    "52-rs512": lambda: assertion_of(key=RSA_KEY, header={"alg": "RS512"}),
    "52-the-key-of-another-algorithm": lambda: assertion_of(key=EC_KEY, header={"kid": RSA_KEY.kid}),
    "54-an-hour-ahead": lambda: assertion_of(exp=int(time.time()) + 3600),
    "54-ten-years-ahead": lambda: assertion_of(exp=int(time.time()) + 315_360_000),
    "54-400-digits": lambda: raw_claims(orjson.dumps(claims()).decode().replace(str(claims()["exp"]), "9" * 400)),
    "54-true": lambda: assertion_of(exp=True),
    "54-a-word": lambda: assertion_of(exp="soon"),
    "54-infinite": lambda: raw_claims('{"iss":"his","sub":"his","exp":1e999,"jti":"i","aud":"x"}'),
    "54-negative": lambda: assertion_of(exp=-1),
    "54-past": lambda: assertion_of(exp=int(time.time()) - 120),
    "54-missing": lambda: assertion_of(exp=None),
    "54-nbf-ahead": lambda: assertion_of(nbf=int(time.time()) + 200),
    "54-iat-ahead": lambda: assertion_of(iat=int(time.time()) + 200),
    "55-jku": lambda: assertion_of(header={"jku": "https://attacker.example/jwks"}),
    "55-x5u": lambda: assertion_of(header={"x5u": "https://attacker.example/cert"}),
    "55-jwk": lambda: assertion_of(key=FOREIGN, header={"jwk": FOREIGN.as_dict(private=False), "kid": "mine"}),
    "56-crit": lambda: unsigned({"alg": "ES384", "typ": "JWT", "kid": "k", "crit": ["x"], "x": 1}, claims(), "AAAA"),
    "56-b64": lambda: unsigned({"alg": "ES384", "typ": "JWT", "kid": "k", "b64": False}, claims(), "AAAA"),
    "56-header-of-60-kB": lambda: unsigned({"alg": "ES384", "kid": "k" * 60_000}, claims(), "AAAA"),
    "56-five-segments": lambda: f"{assertion_of()}.AAAA.AAAA",
    "56-two-segments": lambda: assertion_of().rpartition(".")[0],
    "56-garbage": lambda: "garbage",
    "56-header-is-a-list": lambda: unsigned([], claims(), "AAAA"),  # type: ignore[arg-type]
    "56-claims-are-a-list": lambda: raw_claims("[]"),
    "56-claims-are-nested-deeply": lambda: raw_claims("[" * 3000 + "]" * 3000),
    "56-no-kid": lambda: assertion_of(header={"kid": None}),
    "56-unknown-kid": lambda: assertion_of(header={"kid": "other"}),
    "56-no-typ": lambda: raw_claims(orjson.dumps(claims()).decode(), typ=None),
    "56-an-access-token": lambda: assertion_of(header={"typ": "at+jwt"}),
    "68-another-audience": lambda: assertion_of(aud="https://other.example/auth/token"),
    "68-several-audiences": lambda: assertion_of(aud=["https://evil.example", f"{ISSUER}/token"]),
    "68-the-issuer-alone": lambda: assertion_of(aud=ISSUER),
    "68-another-issuer": lambda: assertion_of(iss="other-his"),
    "68-an-unknown-client": lambda: assertion_of("nobody"),
    "68-subject-is-a-number": lambda: assertion_of(sub=7),
    "68-no-jti": lambda: assertion_of(jti=None),
    "68-jti-is-a-list": lambda: assertion_of(jti=["a"]),
}


@pytest.mark.parametrize("name", ASSERTIONS)
def test_51_to_56_and_68_a_bad_assertion(node: Node, name: str):
    refused(with_assertion(node, ASSERTIONS[name]()), "invalid_client", 400, 401)


def test_53_an_assertion_is_good_once(node: Node):
    assertion = assertion_of()
    assert node.post("/auth/token", own_request(assertion=assertion)).status_code == 200
    refused(with_assertion(node, assertion), "invalid_client")
    again = assertion_of()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: node.post("/auth/token", own_request(assertion=again)).status_code, range(8)))
    assert sorted(answers) == [200] + [400] * 7


def test_53_the_jti_of_another_client_is_another(node: Node):
    for client in ("his", "other-his"):
        key = EC_KEY if client == "his" else RSA_KEY
        assertion = assertion_of(client, key=key, jti="shared")
        assert node.post("/auth/token", own_request(client=client, assertion=assertion)).status_code == 200


def test_57_two_keys_of_one_id():
    twice = {"keys": [RSA_KEY.as_dict(private=False), {**EC_KEY.as_dict(private=False), "kid": str(RSA_KEY.kid)}]}
    with pytest.raises(ClientError, match="two keys"):
        checked(Client("twice", "?", "private_key_jwt", "system/*.rs", jwks=twice))


@pytest.mark.parametrize(
    "keys",
    [
        {"keys": []},
        {"keys": [RSA_KEY.as_dict(private=True)]},
        {"keys": [{"kty": "oct", "k": "AAAA", "kid": "k"}]},
        {"keys": [{name: value for name, value in RSA_KEY.as_dict(private=False).items() if name != "kid"}]},
        {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"}]},
        {"keys": ["?"]},
        [],
        {},
    ],
)
def test_57_keys_that_prove_nothing(keys: Any):
    with pytest.raises(ClientError):
        checked(Client("keys", "?", "private_key_jwt", "system/*.rs", jwks=keys))


class Elsewhere:
    """A server that would serve keys, and counts who asks."""

    def __init__(self, answer: Any) -> None:
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                answer(self)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}/jwks"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def sending(body: bytes, status: int = 200, **headers: str) -> Any:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:
            return

    return send


KEYS = orjson.dumps({"keys": [EC_KEY.as_dict(private=False)]})


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example/jwks",
        "https://localhost/jwks",
        "https://127.0.0.1/jwks",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/jwks",
        "https://[::ffff:10.0.0.1]/jwks",
        "https://[64:ff9b::a00:1]/jwks",
        "https://10.1.2.3/jwks",
        "https://0.0.0.0/jwks",
        "https://keys.example@127.0.0.1/jwks",
        "https://user@keys.example/jwks",
        "file:///etc/passwd",
        "https://",
        "https://[bad/jwks",
        "https://keys.example/jwks#a",
        "https://rebound.example/jwks",
    ],
)
def test_58_keys_are_not_fetched_from_within(url: str):
    named = {"rebound.example": ["93.184.216.34", "192.168.1.1"], "keys.example": ["93.184.216.34"]}

    def resolve(host: str, _port: int) -> list[str]:
        return named.get(host, [host])

    with pytest.raises(Unreachable):
        Outbound(resolve=resolve).check(url)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_58_public_addresses_are(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    "answer",
    [
        sending(b"", 302, location="http://169.254.169.254/"),
        sending(b"x" * 1_000_000),
        sending(b"not json"),
        sending(KEYS, 500),
    ],
    ids=["redirecting", "long", "no-json", "failing"],
)
def test_58_keys_that_cannot_be_had(answer: Any):
    with Elsewhere(answer) as elsewhere, pytest.raises(Unreachable):
        Outbound([elsewhere.host]).fetch(elsewhere.url)


def test_58_and_76_keys_at_a_url_are_fetched_seldom():
    with Elsewhere(sending(KEYS)) as elsewhere, asking(outbound_hosts=(elsewhere.host,)) as node:
        client = Client("remote", "Từ xa", "private_key_jwt", "system/*.rs", jwks_uri=elsewhere.url)
        node.authority.records.add("client", "remote", client.as_json())

        def ask(**header: Any) -> int:
            assertion = assertion_of("remote", header=header)
            return node.post("/auth/token", own_request(client="remote", assertion=assertion)).status_code

        assert ask() == 200
        assert ask(jku=elsewhere.url) == 200
        assert elsewhere.asked == 1
        assert [ask(kid=f"spray-{n}") for n in range(9)] == [400] * 9
        assert elsewhere.asked == 1


def test_77_documents_are_asked_for_again_at_most_every_half_minute():
    now = [0.0]
    with Elsewhere(sending(KEYS, cache_control="max-age=9999999")) as elsewhere:
        documents = Documents(Outbound([elsewhere.host]), lambda: now[0])
        for _ in range(5):
            documents.body(elsewhere.url, anew=True)
        assert elsewhere.asked == 1
        now[0] += 31
        documents.body(elsewhere.url)
        assert elsewhere.asked == 1
        documents.body(elsewhere.url, anew=True)
        assert elsewhere.asked == 2
        now[0] += 3601
        documents.body(elsewhere.url)
        assert elsewhere.asked == 3


def test_58_a_client_that_changed_its_keys_is_believed_at_once(node: Node):
    records = node.authority.records
    new = RSAKey.generate_key(2048, auto_kid=True)
    record = records.read("client", "other-his")
    assert record is not None
    client = replace(Client(**record.body), jwks={"keys": [new.as_dict(private=False)]})
    records.change("client", "other-his", client.as_json(), record.revision)
    for key, status in ((RSA_KEY, 400), (new, 200)):
        assertion = assertion_of("other-his", key=key)
        asked = {**own_request(client="other-his", assertion=assertion), "client_assertion_type": ASSERTION_TYPE}
        assert node.post("/auth/token", asked).status_code == status
