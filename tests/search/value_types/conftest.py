"""Values read for a parameter, and what of some rows they find."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server import ucum
from fhir_server.definitions.registry import r4
from fhir_server.search.codes import CodeDoor, NoCodes
from fhir_server.search.leaf import Context
from fhir_server.search.param_types.date import span_in
from fhir_server.search.question import Forms, Question

NOW = 1_795_000_000_000
CONTEXT = Context(r4(), frozenset({"http://own/fhir"}), ucum.canonical, span_in(ZoneInfo("Asia/Ho_Chi_Minh")))


@pytest.fixture
def question() -> Callable[..., Question]:
    """What makes questions about parameters that read some FHIR types; none named means that it is not known."""

    def make(*kinds: str, codes: CodeDoor | None = None, **more: Any) -> Question:
        return Question(CONTEXT, codes or NoCodes(), NOW, frozenset(kinds) or None, **more)

    return make


def asked(forms: Forms, text: str, question: Question, modifier: str = "") -> Any:
    """The alternatives of a value."""
    return forms[modifier].read(text, question)
