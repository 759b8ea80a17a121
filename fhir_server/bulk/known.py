"""Conditional references of an import, each looked up once (FHIR R4, 3.1.0.11.2.1 conditional references)."""

from __future__ import annotations

import re

import orjson

from fhir_server.errors import FhirError
from fhir_server.repository.repository import Repository
from fhir_server.repository.sent import Sent
from fhir_server.resource.parsing import Limits, parse
from fhir_server.resource.query_string import pairs_in
from fhir_server.resource.reference import parse_reference
from fhir_server.search.row import Memo

CONDITIONAL = re.compile(rb'("reference"[ \t\r\n]*:[ \t\r\n]*)("[A-Z][A-Za-z]*\?[^"\\]*")')
MOST = 100_000


class KnownReferences:
    """Puts ids in the place of conditions whose one match is known; others are left to the repository."""

    def __init__(self, repository: Repository, limits: Limits) -> None:
        self._repository = repository
        self._limits = limits
        self._known = Memo(MOST)

    async def resolved(self, sent: Sent) -> Sent:
        """Return the resource with the references that could be resolved."""
        sent_json = sent.json()
        if b"?" not in sent_json:
            return sent
        texts = {found[2] for found in CONDITIONAL.finditer(sent_json)}
        paths = {text: path for text in texts if (path := await self._path(text)) is not None}
        if not paths:
            return sent
        raw = CONDITIONAL.sub(lambda found: found[1] + paths.get(found[2], found[2]), sent_json)
        return Sent(parse(raw, self._limits), raw, members_counted=sent.members_counted)

    async def _path(self, text: bytes) -> bytes | None:
        known: bytes | None = self._known.get(text)
        if known is not None:
            return known
        reference = parse_reference(orjson.loads(text))
        if reference.type is None or reference.query is None:
            return None
        try:
            query = self._repository.query((reference.type,), pairs_in(reference.query))
        except FhirError:
            return None
        if not query.is_specific:
            return None
        page = await self._repository.page(query.plan, 2)
        if len(page.matches) != 1:
            return None
        path = orjson.dumps(f"{page.matches[0].type}/{page.matches[0].id}")
        self._known.keep(text, path)
        return path
