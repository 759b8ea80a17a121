"""The door to patching: one resource and one patch to the resource as it should be (FHIR R4, 3.1.0.9 patch)."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Invalid, Issue, TooComplex, Unprocessable
from fhir_server.patch.fhirpath_patch import apply_fhirpath_patch, read_fhirpath_patch
from fhir_server.patch.json_patch import apply_json_patch, read_json_patch
from fhir_server.patch.operation import excerpt
from fhir_server.patch.tree import depth
from fhir_server.patch.xml_patch import patch_by_xml
from fhir_server.resource.exact import dump_exact
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits, parse

PatchKind = Literal["json", "xml", "fhirpath"]

KINDS: Mapping[str, PatchKind] = {
    "application/json-patch+json": "json",
    "application/xml-patch+xml": "xml",
    "application/fhir+json": "fhirpath",
    "application/fhir+xml": "fhirpath",
}
"""The kind of patch by the media type that it comes in."""


def apply_patch(
    kind: PatchKind,
    patch: bytes | dict[str, Any],
    resource: dict[str, Any],
    definitions: Definitions,
    limits: Limits = STANDARD_LIMITS,
) -> dict[str, Any]:
    """Return the patched resource as a new value; what the patch leaves alone keeps its spelling and order.

    `patch` is what came, or for FHIRPath Patch perhaps the Parameters of a bundle's entry; `resource` should be read
    by `parse_exact`. Whether the result is valid FHIR is for validation to say. Raise Invalid for what is no patch,
    Unprocessable for one that cannot be applied to this resource, TooLarge and TooCostly beyond the limits.
    """
    patched = _PATCHES[kind](patch, resource, definitions, limits)
    if not isinstance(patched, dict):
        raise Unprocessable("The patch leaves no resource.")
    _refuse_new_identity(resource, patched)
    if depth(patched) > limits.depth:
        text = f"The patched resource would be nested more than {limits.depth} levels deep."
        raise TooComplex(Issue("error", "too-long", text))
    parse(dump_exact(patched), limits)
    return patched


def _refuse_new_identity(resource: dict[str, Any], patched: dict[str, Any]) -> None:
    """A patch changes a resource, and never which one it is (FHIR R4, 3.1.0.4 update: the id stays)."""
    for key in ("resourceType", "id"):
        if resource.get(key) != patched.get(key):
            change = f"from {excerpt(resource.get(key))} to {excerpt(patched.get(key))}"
            raise Unprocessable(
                Issue(
                    "error",
                    "business-rule",
                    f"The patch changes {key} {change}; {key} cannot be changed.",
                    (f"{resource.get('resourceType')}.{key}",) if key == "id" else (),
                    fix=f"Leave {key} out of the patch; to have another resource, create it.",
                )
            )


def _raw(patch: bytes | dict[str, Any]) -> bytes:
    if isinstance(patch, bytes):
        return patch
    raise Invalid(
        Issue("error", "structure", "A JSON Patch or XML Patch is a text of its own, and no resource."),
    )


def _by_json(patch: bytes | dict[str, Any], resource: dict[str, Any], definitions: Definitions, limits: Limits) -> Any:
    return apply_json_patch(resource, read_json_patch(_raw(patch), limits), limits, keeps_emptied=False)


def _by_xml(patch: bytes | dict[str, Any], resource: dict[str, Any], definitions: Definitions, limits: Limits) -> Any:
    return patch_by_xml(_raw(patch), resource, definitions, limits)


def _by_fhirpath(
    patch: bytes | dict[str, Any], resource: dict[str, Any], definitions: Definitions, limits: Limits
) -> Any:
    parameters = read_fhirpath_patch(patch, definitions, limits) if isinstance(patch, bytes) else patch
    return apply_fhirpath_patch(resource, parameters, definitions)


_PATCHES: Mapping[PatchKind, Callable[[bytes | dict[str, Any], dict[str, Any], Definitions, Limits], Any]] = {
    "json": _by_json,
    "xml": _by_xml,
    "fhirpath": _by_fhirpath,
}
