"""What it costs to be asked who one is: tokens by signed assertions, and reads with a token beside reads without."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey

from bench.figure import Figure
from bench.http import PROGRAM, Server, started_on
from bench.load import HEADERS, Client, Work, closed_loop

SECONDS = 3.0
ROUNDS = 3
TOKENS = 1500
TOKEN_SECONDS = 3.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENTS = 16
PATIENTS = 100
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def measure(_shared: Path) -> list[Figure]:
    """Measure a server that asks beside one that does not, in turns."""
    key = ECKey.generate_key("P-384", auto_kid=True)
    with started("on", key) as asking, started("off", key) as open_to_all:
        return asyncio.run(measured(asking, open_to_all, key))


@contextmanager
def started(auth: str, key: ECKey) -> Iterator[Server]:
    """A server on an empty folder with one program registered."""
    with tempfile.TemporaryDirectory() as folder:
        jwks = Path(folder) / "jwks.json"
        jwks.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        add = ["client", "add", "bench", "--jwks", str(jwks), "--scope", "system/*.cruds", "--organization", "bench"]
        subprocess.run([str(PROGRAM), *add, "--data", folder], check=True, stdout=subprocess.DEVNULL)
        with started_on(Path(folder), 1, "--auth", auth) as server:
            yield server


async def measured(asking: Server, open_to_all: Server, key: ECKey) -> list[Figure]:
    """Return the figures of both servers."""
    random.seed(1)
    headers = {"Authorization": f"Bearer {await token(asking, key)}"}
    await sow(asking, headers)
    await sow(open_to_all, {})
    costs: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, server, sent in (("with a token", asking, headers), ("without", open_to_all, {})):
            outcome = await closed_loop(server.base, reads(), CLIENTS, SECONDS, server.process, {**HEADERS, **sent})
            costs[name] = max(costs.get(name, 0.0), outcome.rate_of_cpu)
    requests = [request_of(asking, key) for _ in range(TOKENS)]
    root = asking.base.removesuffix("/fhir")
    issued = await closed_loop(root, tokens(requests), CLIENTS, TOKEN_SECONDS, asking.process, FORM)
    more = costs["without"] / costs["with a token"] - 1
    return [
        *(Figure(f"authorization read {name}", cost, "reads/CPU-s") for name, cost in costs.items()),
        Figure("authorization read, more CPU with a token", more * 100, "%"),
        Figure("authorization token endpoint", issued.rate_of_cpu, "tokens/CPU-s"),
    ]


def reads() -> Work:
    """Reads of one patient or another."""

    async def work(client: Client) -> int:
        answer = await client.ask("GET", f"Patient/p{random.randrange(PATIENTS)}")
        assert answer.status == 200, answer.body
        return 1

    return work


def tokens(requests: Sequence[bytes]) -> Work:
    """Token requests, each with an assertion of its own, signed before."""
    left = iter(requests)

    async def work(client: Client) -> int:
        request = next(left, None)
        if request is None:
            return 0
        answer = await client.ask("POST", "auth/token", request)
        assert answer.status == 200, answer.body
        return 1

    return work


def request_of(server: Server, key: ECKey) -> bytes:
    """The form that asks for a token."""
    url = f"{server.base.removesuffix('/fhir')}/auth/token"
    claims = {"iss": "bench", "sub": "bench", "aud": url, "exp": int(time.time()) + 240, "jti": secrets.token_hex(16)}
    assertion = jwt.encode({"alg": "ES384", "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=["ES384"])
    fields = {"grant_type": "client_credentials", "scope": "system/*.cruds", "client_assertion_type": ASSERTION}
    return urlencode({**fields, "client_assertion": assertion}).encode()


async def token(server: Server, key: ECKey) -> str:
    """A token of the program."""
    client = Client(server.base.removesuffix("/fhir"), FORM)
    answer = await client.ask("POST", "auth/token", request_of(server, key))
    client.close()
    return str(answer.json()["access_token"])


async def sow(server: Server, headers: dict[str, str]) -> None:
    """Store the patients that reads ask for."""
    client = Client(server.base, {**HEADERS, **headers})
    for number in range(PATIENTS):
        body = json.dumps({"resourceType": "Patient", "id": f"p{number}", "gender": "female"}).encode()
        answer = await client.ask("PUT", f"Patient/p{number}", body)
        assert answer.status in (200, 201), answer.body
    client.close()
