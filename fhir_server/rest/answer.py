"""What is sent back after a write (FHIR R4, 3.1.0.1.8 managing return content)."""

from __future__ import annotations

import orjson

from fhir_server.errors import Issue, operation_outcome
from fhir_server.repository.write import Saved
from fhir_server.rest.exchange import Exchange, Reply

STATUS = {"created": 201, "updated": 200, "unchanged": 200, "found": 200}
EFFECTS = {
    "created": "The resource was created.",
    "updated": "The resource was updated.",
    "unchanged": "The resource is as it was; no version was made.",
    "found": "A resource that matches exists; none was created.",
    "deleted": "The resource was deleted.",
}


def written(exchange: Exchange, saved: Saved) -> Reply:
    """Return the answer to a write; what is deleted is no content, unless its OperationOutcome is asked for."""
    version = saved.version
    if version is None or version.body is None:
        return Reply(200, outcome(saved)) if is_advised(exchange) else Reply(204, version=version)
    status = STATUS[saved.effect]
    path = f"{version.type}/{version.id}/_history/{version.version}"
    location = path if saved.effect in ("created", "found") else None
    returned = exchange.preference.returned
    if returned == "minimal":
        body = b""
    elif returned == "OperationOutcome":
        body = outcome(saved)
    else:
        body = version.body
    return Reply(status, body, version, location)


def outcome(saved: Saved) -> bytes:
    """Return the OperationOutcome of a write: what it did, and what validation advises."""
    done = Issue("information", "informational", EFFECTS[saved.effect])
    return orjson.dumps(operation_outcome([done, *saved.issues]))


def is_advised(exchange: Exchange) -> bool:
    """Whether the client wants to hear what validation says of a resource that is accepted."""
    return exchange.preference.returned == "OperationOutcome"
