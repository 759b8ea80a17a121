"""What is recorded of reads and writes: a write's records are committed with it, and so fail with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fhir_server.access.consent import decision_of
from fhir_server.access.label import UNKNOWN
from fhir_server.audit.account import CURRENT, DECISION
from fhir_server.repository.labelling import NO_LIMITS, remembered
from fhir_server.repository.permission import Permission
from fhir_server.repository.sight import Sights
from fhir_server.resource.parsing import parse
from fhir_server.store.content import stamped
from fhir_server.store.protocol import Change, Request, Version

CONSENT = "Consent"
INTERACTIONS = {"C": "create", "U": "update", "D": "delete"}


def touched(sights: Sights, versions: Iterable[Version | None]) -> None:
    """Enter whose data these versions are in the account of this request."""
    account = CURRENT.get()
    if account is None:
        return
    for version in versions:
        if version is not None:
            label = sights.labelling.of(version)
            account.touch(label.owners, label.patients)


def recorded(request: Request, permission: Permission, at: int) -> Request:
    """The request with a record of each of its changes, if it is made for somebody who is held to account."""
    account = CURRENT.get()
    if account is None or not request.changes:
        return request
    account.is_told = True
    records = []
    for change in request.changes:
        kind, version = done(change, permission)
        label = remembered(change.label) if change.label else UNKNOWN
        key = f"{change.type}/{change.id}/_history/{version}"
        told = {"e": [key], "l": list(label.patients), "b": list(label.owners)}
        records.append(account.record(at, kind, INTERACTIONS[kind], told))
        decision = decided(change, permission)
        if decision:
            records.append(account.record(at, DECISION, DECISION, {**told, "d": decision}))
    return replace(request, records=tuple(records))


def decided(change: Change, permission: Permission) -> str:
    """What a patient's decision was and now is, where a change of a Consent changes it."""
    if change.type != CONSENT:
        return ""
    content = change.content
    now = decision_of(parse(stamped(content, 1, ""), NO_LIMITS)) if content is not None else ""
    before = decision_of(permission.former((change.type, change.id)))
    return "" if now == before else f"{before or 'none'} -> {now or 'none'}"


def done(change: Change, permission: Permission) -> tuple[str, int]:
    """What a change does to a resource, and the version that it makes."""
    known = permission.known.get((change.type, change.id))
    number = 1 if known is None else known.version + 1
    if change.method == "DELETE":
        return "D", number
    return ("C" if known is None or known.body is None else "U"), number
