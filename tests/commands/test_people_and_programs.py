"""`nhipcau user` and `nhipcau client`: what is added, changed, told and refused."""

import json

import pytest
from joserfc.jwk import ECKey

JWKS = {"keys": [ECKey.generate_key("P-384", auto_kid=True).as_dict(private=False)]}
BACKEND = ("--scope", "system/*.rs")


def test_a_person_is_added_listed_changed_and_disabled(nhipcau, data):
    status, printed, _ = nhipcau("user", "add", "lan", "--role", "doctor", "--name", "Bs. Lan", "--fhir-user",
                                 "Practitioner/lan", "--organization", "a", "--data", data)  # fmt: skip
    assert status == 0
    password = printed.rpartition("password: ")[2].strip()
    assert len(password) == 19
    assert nhipcau("user", "change", "lan", "--role", "radiologist", "--organization", "b", "--data", data)[0] == 0
    assert nhipcau("user", "totp", "lan", "--data", data)[1].count("otpauth://totp/") == 1
    assert nhipcau("user", "disable", "lan", "--data", data)[0] == 0
    told = nhipcau("user", "list", "--data", data)[1]
    assert "lan  Bs. Lan · radiologist · Practitioner/lan · b · disabled · second factor" in told
    assert nhipcau("user", "totp", "lan", "--remove", "--data", data)[0] == 0
    assert nhipcau("user", "enable", "lan", "--data", data)[0] == 0
    other = nhipcau("user", "password", "lan", "--data", data)[1].rpartition("password: ")[2].strip()
    assert other != password
    assert "disabled" not in nhipcau("user", "list", "--data", data)[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "LAN", "--role", "doctor"), "no login"),
        (("add", "lan"), "needs a role"),
        (("add", "lan", "--role", "king"), "no role 'king'"),
        (("add", "lan", "--role", "doctor", "--fhir-user", "Device/1"), "is nobody"),
        (("add", "lan", "--role", "doctor", "--organization", "a b"), "no id of an Organization"),
        (("password", "nobody"), "nobody with the login"),
        (("change", "nobody"), "nobody with the login"),
    ],
)
def test_a_person_that_cannot_be_is_told(nhipcau, data, words, says):
    status, _, told = nhipcau("user", *words, "--data", data)
    assert status == 2
    assert says in told


def test_a_person_is_added_once(nhipcau, data):
    assert nhipcau("user", "add", "may", "--role", "patient", "--data", data)[0] == 0
    assert "already" in nhipcau("user", "add", "may", "--role", "patient", "--data", data)[2]


def test_a_program_is_added_with_its_keys(nhipcau, data, tmp_path):
    (tmp_path / "jwks.json").write_text(json.dumps(JWKS))
    status, printed, _ = nhipcau("client", "add", "HIS Bệnh viện Đa khoa", "--jwks", tmp_path / "jwks.json", *BACKEND,
                                 "--data", data)  # fmt: skip
    assert (status, printed.strip()) == (0, "client id: HIS-Benh-vien-Da-khoa")
    assert "private_key_jwt · system/*.rs · his" in nhipcau("client", "list", "--data", data)[1]
    assert nhipcau("client", "keys", "HIS-Benh-vien-Da-khoa", "--jwks", tmp_path / "jwks.json", "--data", data)[0] == 0
    assert nhipcau("client", "disable", "HIS-Benh-vien-Da-khoa", "--data", data)[0] == 0
    assert "disabled" in nhipcau("client", "list", "--data", data)[1]
    assert nhipcau("client", "enable", "HIS-Benh-vien-Da-khoa", "--data", data)[0] == 0


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_key_is_made_and_its_public_part_printed(nhipcau, tmp_path, algorithm):
    status, printed, _ = nhipcau("client", "key", tmp_path / "key.json", "--algorithm", algorithm)
    assert status == 0
    (public,) = json.loads(printed)["keys"]
    private = json.loads((tmp_path / "key.json").read_text())
    assert "d" not in public
    assert private["d"]
    assert public["kid"] == private["kid"]
    assert public["alg"] == algorithm
    assert (tmp_path / "key.json").stat().st_mode & 0o077 == 0
    assert "not written over" in nhipcau("client", "key", tmp_path / "key.json")[2]


def test_a_program_gets_a_key_or_a_secret(nhipcau, data, tmp_path):
    made = nhipcau("client", "add", "One", "--make-key", tmp_path / "one.json", *BACKEND, "--data", data)[1]
    assert '"kty": "EC"' in made
    secret = nhipcau("client", "add", "Two", "--secret", "--redirect", "https://app.example.vn/cb", "--scope",
                     "openid user/*.rs", "--data", data)[1]  # fmt: skip
    assert len(secret.rpartition("secret: ")[2].strip()) == 43


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("x", "--scope", "system/*.rs"), "redirect URI, or a key"),
        (("x", "--scope", "everything", "--redirect", "https://a.vn/"), "no scope of SMART"),
        (("x", "--scope", "user/*.rs", "--redirect", "http://a.vn/"), "no redirect URI"),
        (("!!!", "--scope", "user/*.rs", "--redirect", "https://a.vn/"), "no letter or digit"),
    ],
)
def test_a_program_that_cannot_be_is_told(nhipcau, data, words, says):
    status, _, told = nhipcau("client", "add", *words, "--data", data)
    assert status == 2
    assert says in told
