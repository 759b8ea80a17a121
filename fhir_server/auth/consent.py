"""What a person is asked before a program gets tokens: each scope in words, nothing ticked beforehand.

Law 91/2025/QH15 on personal data: consent by purpose, explicit, silence is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_plus

from fhir_server.access.scope import Scope, Scopes
from fhir_server.auth.page import WORDS
from fhir_server.auth.session import Language

ACTS = {"act.read": "rs", "act.write": "cu", "act.delete": "d"}
YOU = ("openid", "fhirUser", "profile")
STAY = ("offline_access", "online_access")
CONTEXT = ("launch", "launch/patient", "launch/encounter")


class Tick(NamedTuple):
    """A box to tick: what it sends, and what it means."""

    value: str
    text: str
    hint: str = ""


class Group(NamedTuple):
    """Boxes under a heading."""

    title: str
    ticks: tuple[Tick, ...]


def sentence(scope: Scope, language: Language) -> str:
    """Return what a scope of resources lets a program do, in words."""
    acts = [WORDS[key][language] for key, letters in ACTS.items() if set(letters) & set(scope.letters)]
    joined = ", ".join([acts[0], *(act[0].lower() + act[1:] for act in acts[1:])])
    key = f"type.{scope.type}"
    what = WORDS[key][language] if key in WORDS else scope.type
    whose = WORDS[f"whose.{scope.context}"][language]
    return WORDS["scope.sentence"][language].format(acts=joined, what=what, whose=whose)


def ticks_of(scopes: Scopes, language: Language) -> list[Group]:
    """Return what is asked about these scopes."""
    groups = [Group("group.data", tuple(_tick(each, language) for each in scopes.resources))]
    if set(YOU) & set(scopes.plain):
        groups.append(Group("group.you", (_plain("openid", language),)))
    stay = tuple(_plain(each, language) for each in STAY if each in scopes.plain)
    return [group for group in (*groups, Group("group.stay", stay)) if group.ticks]


def _tick(scope: Scope, language: Language) -> Tick:
    hint = WORDS["scope.only"][language].format(query=unquote_plus(scope.query)) if scope.query else ""
    return Tick(str(scope), sentence(scope, language), hint)


def _plain(name: str, language: Language) -> Tick:
    return Tick(name, WORDS[f"scope.{name}"][language], WORDS[f"scope.{name}.hint"][language])


def ticked(scopes: Scopes, values: Iterable[str]) -> Scopes:
    """Return the scopes that were ticked, with the context, which says nothing by itself."""
    chosen = set(values)
    you = YOU if "openid" in chosen else ()
    plain = tuple(each for each in scopes.plain if each in CONTEXT or each in you or (each in STAY and each in chosen))
    return Scopes(tuple(each for each in scopes.resources if str(each) in chosen), plain)
