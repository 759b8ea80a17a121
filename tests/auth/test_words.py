"""Every word of the pages is there in both languages, and every one is used."""

import re
from importlib import resources
from pathlib import Path

import pytest

from fhir_server.access.caller import ROLES
from fhir_server.access.role import ROLES as RULED
from fhir_server.auth.page import WORDS

PAGES = Path(str(resources.files("fhir_server.auth"))) / "pages"
USED_BY_NAME = ("role.", "type.", "gender.", "whose.", "act.", "scope.", "group.", "password.", "factor.", "login.",
                "account.", "patient.", "encounter.")  # fmt: skip


@pytest.mark.parametrize("key", sorted(WORDS))
def test_a_word_has_both_languages_with_the_same_parts(key: str):
    found = WORDS[key]
    assert set(found) == {"vi", "en"}
    assert all(found.values())
    assert set(re.findall(r"{\w+}", found["vi"])) == set(re.findall(r"{\w+}", found["en"]))


def test_every_word_of_a_template_exists():
    used = {key for file in PAGES.glob("*.html") for key in re.findall(r"word\('([\w.\-]+)'", file.read_text())}
    assert used - WORDS.keys() == set()


def test_no_word_is_left_over():
    code = "".join(file.read_text() for file in (*PAGES.glob("*.html"), *PAGES.parent.glob("*.py")))
    unused = {key for key in WORDS if key not in code and not key.startswith(USED_BY_NAME)}
    assert unused == set()


def test_every_role_has_a_word_and_rules():
    assert {f"role.{role}" for role in ROLES} <= WORDS.keys()
    assert set(ROLES) == {role.code for role in RULED}
