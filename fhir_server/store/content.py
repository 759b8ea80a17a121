"""A resource as sent, parted where the store writes its version into meta (FHIR R4, 2.26.3.7 meta)."""

from __future__ import annotations

import secrets
from typing import Any

from fhir_server.resource.exact import dump_exact
from fhir_server.resource.splicing import refuse_no_object, stamp
from fhir_server.store.protocol import Content

# What a client cannot guess cannot stand in its resource by intent.
_MARK = secrets.token_hex(16)
_MEMBERS = f'"versionId":"{_MARK}","lastUpdated":"{_MARK}"'.encode()


def content(raw: bytes, body: dict[str, Any], resource_id: str) -> Content:
    """The JSON of a resource with this id, ready for any version; `raw` is what `parse` has read as `body`."""
    before, _, after = stamp(raw, body, resource_id, _MARK, _MARK).partition(_MEMBERS)
    return Content(before, after)


def content_of(body: dict[str, Any], resource_id: str) -> Content:
    """The same of a resource that is written anew from `body`, as `dump_exact` does."""
    own: dict[str, Any] = {"id": resource_id, "meta": _marked(body.get("meta", {}))}
    missing = {name: value for name, value in own.items() if name not in body}
    behind = "id" if "id" in body else "resourceType"
    whole: dict[str, Any] = {}
    for name, value in body.items():
        whole[name] = own.get(name, value)
        if name == behind:
            whole.update(missing)
    before, _, after = dump_exact(whole).partition(_MEMBERS)
    return Content(before, after)


def _marked(meta: Any) -> dict[str, Any]:
    refuse_no_object(meta)
    marked = {"versionId": _MARK, "lastUpdated": _MARK}
    return marked | {name: value for name, value in meta.items() if name not in marked}


def stamped(parts: Content, version: int, instant: str) -> bytes:
    """The JSON of one version."""
    return b'%b"versionId":"%d","lastUpdated":"%b"%b' % (parts.before, version, instant.encode(), parts.after)
