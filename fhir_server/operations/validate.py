"""The operation $validate (FHIR R4, OperationDefinition/Resource-validate), without a transport."""

from collections.abc import Sequence
from typing import Any

from fhir_server.errors import Invalid, Issue, Unsupported
from fhir_server.formats import Received
from fhir_server.validation.validator import Validator

WHERE = ("Parameters.parameter",)


def answer(
    validator: Validator, received: Received, profiles: Sequence[str] = (), expected: str | None = None
) -> tuple[Issue, ...]:
    """Return all that the validator says of what was received, repeated members of its JSON first.

    `expected` is the type that the URL announced. Raise Invalid or Unsupported for what $validate cannot be asked.
    """
    resource, named = question(received.body)
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if expected not in (None, kind):
        raise Invalid(f"The URL announces {expected}, and the resource sent is {kind or 'of no type'}.")
    return (*received.issues, *validator.validate(resource, profiles=(*profiles, *named)).issues)


def question(body: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Return the resource and the profiles that a body asks about: itself and none, or what a Parameters holds.

    A Parameters without a parameter `resource` is itself the resource.
    """
    parameters = _parameters(body)
    held = [item["resource"] for item in parameters if item.get("name") == "resource" and "resource" in item]
    if not held:
        return body, ()
    if len(held) > 1:
        raise Invalid("$validate takes one parameter 'resource'.", expression=WHERE)
    modes = {str(item.get("valueCode")) for item in parameters if item.get("name") == "mode"} - {"create"}
    if modes:
        raise Unsupported(f"$validate has no mode {', '.join(modes)} here: nothing is stored.", expression=WHERE)
    named = (item.get("valueUri") or item.get("valueCanonical") for item in parameters if item.get("name") == "profile")
    return held[0], tuple(url for url in named if isinstance(url, str))


def _parameters(body: dict[str, Any]) -> list[dict[str, Any]]:
    items = body.get("parameter") if body.get("resourceType") == "Parameters" else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
