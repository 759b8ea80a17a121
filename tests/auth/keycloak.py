"""A real Keycloak on this machine, fetched once into `build/`, with one realm: people, programs, scopes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.fetching import BUILD, alone

VERSION = "26.7.3"
HOME = BUILD / f"keycloak-{VERSION}"
REALM = "nhipcau"
SECONDS_TO_FETCH = 600
SECONDS_TO_START = 240

Json = dict[str, Any]


def mapper(name: str, kind: str, **config: str) -> Json:
    wanted = {
        "access.token.claim": "true",
        "id.token.claim": "true",
        **{k.replace("_", "."): v for k, v in config.items()},
    }
    return {"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": wanted}


SCOPES = ("system/*.rs", "user/*.rs", "patient/*.rs")
PROFILE = {
    "attributes": [{"name": "username"}, {"name": "email"}, {"name": "firstName"}, {"name": "lastName"}],
    "unmanagedAttributePolicy": "ENABLED",
}


def mappers(audience: str) -> list[Json]:
    """What puts claims into tokens, as our settings want them."""
    facility = mapper("facility", "oidc-hardcoded-claim-mapper", claim_name="organizations", claim_value='["hospital"]')
    facility["config"]["jsonType.label"] = "JSON"
    return [
        mapper("sub", "oidc-sub-mapper"),
        mapper("audience", "oidc-audience-mapper", included_custom_audience=audience),
        mapper("name", "oidc-usermodel-attribute-mapper", user_attribute="username", claim_name="preferred_username"),
        mapper("cccd", "oidc-usermodel-attribute-mapper", user_attribute="cccd", claim_name="cccd"),
        mapper("roles", "oidc-usermodel-realm-role-mapper", claim_name="roles", multivalued="true"),
        mapper("acr", "oidc-acr-mapper"),
        facility,
    ]


def clients(audience: str, jwks: Json, redirect: str) -> list[Json]:
    """A backend service that signs, and a program for people."""
    shared = {
        "protocol": "openid-connect",
        "enabled": True,
        "protocolMappers": mappers(audience),
        "optionalClientScopes": list(SCOPES),
        "defaultClientScopes": [],
        "fullScopeAllowed": True,
    }
    signing = {
        "use.jwks.string": "true",
        "jwks.string": json.dumps({"keys": [{**key, "use": "sig"} for key in jwks["keys"]]}),
        "token.endpoint.auth.signing.alg": "RS384",
    }
    own = {"serviceAccountsEnabled": True, "standardFlowEnabled": False, "clientAuthenticatorType": "client-jwt"}
    for_people = {
        "publicClient": True,
        "redirectUris": [redirect],
        "attributes": {"pkce.code.challenge.method": "S256"},
    }
    return [
        {**shared, **own, "clientId": "his", "attributes": signing},
        {**shared, **for_people, "clientId": "app"},
    ]


def realm(audience: str, jwks: Json, redirect: str, password: str) -> Json:
    """The realm file: scopes named as SMART has them, people with a national id."""
    profile = {"providerId": "declarative-user-profile", "config": {"kc.user.profile.config": [json.dumps(PROFILE)]}}
    told = {"include.in.token.scope": "true"}
    return {
        "realm": REALM,
        "enabled": True,
        "sslRequired": "none",
        "roles": {"realm": [{"name": "doctor"}, {"name": "his"}, {"name": "patient"}]},
        "clientScopes": [{"name": name, "protocol": "openid-connect", "attributes": told} for name in SCOPES],
        "clients": clients(audience, jwks, redirect),
        "users": [
            person("lan", password, "doctor", "001085000001"),
            person("may", password, "patient", "001085012345"),
            {
                "username": "service-account-his",
                "serviceAccountClientId": "his",
                "enabled": True,
                "realmRoles": ["his"],
            },
        ],
        "components": {"org.keycloak.userprofile.UserProfileProvider": [profile]},
    }


def person(login: str, password: str, role: str, cccd: str) -> Json:
    return {
        "username": login,
        "enabled": True,
        "email": f"{login}@example.vn",
        "firstName": login,
        "lastName": "Nguyễn",
        "attributes": {"cccd": [cccd]},
        "credentials": [{"type": "password", "value": password}],
        "realmRoles": [role],
    }


def fetch() -> None:
    """Bring Keycloak into `build/`, once; without Java or Maven the tests are skipped, with the reason."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if HOME.is_dir() and "java" not in missing:
        return
    if missing:
        pytest.skip(f"no Keycloak to test with: install {' and '.join(missing)} (Debian: default-jre-headless maven)")
    BUILD.mkdir(exist_ok=True)
    archive = BUILD / f"keycloak-quarkus-dist-{VERSION}.tar.gz"
    if not archive.exists():
        command = ["mvn", "--batch-mode", "--quiet", "dependency:copy", f"-DoutputDirectory={BUILD}",
                   f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"]  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS_TO_FETCH)
        if done.returncode:
            pytest.skip(f"Maven could not fetch Keycloak {VERSION}: {done.stdout[-500:]}")
    with tarfile.open(archive) as files:
        files.extractall(BUILD, filter="data")
    archive.unlink()


@contextmanager
def keycloak(audience: str, jwks: Json, redirect: str, password: str) -> Iterator[str]:
    """The issuer URL of a running Keycloak."""
    with alone():
        fetch()
    shutil.rmtree(HOME / "data", ignore_errors=True)
    (HOME / "data" / "import").mkdir(parents=True)
    (HOME / "data" / "import" / "realm.json").write_text(json.dumps(realm(audience, jwks, redirect, password)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        str(HOME / "bin" / "kc.sh"),
        "start-dev",
        "--http-host",
        "127.0.0.1",
        "--http-port",
        str(port),
        "--import-realm",
    ]
    with (HOME / "data" / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx400m"},
        )
    issuer = f"http://127.0.0.1:{port}/realms/{REALM}"
    try:
        wait_for(f"{issuer}/.well-known/openid-configuration", process)
        yield issuer
    finally:
        # The script starts Java as a child, so the whole session of ours is ended.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            assert process.poll() is None, (HOME / "data" / "log").read_text()[-2000:]
        time.sleep(0.5)
    raise AssertionError(f"Keycloak did not start:\n{(HOME / 'data' / 'log').read_text()[-2000:]}")
