"""The table of all operations: routing, CapabilityStatement and scopes read it (FHIR R4, 3.2.0 operations)."""

from __future__ import annotations

from fhir_server.operations import (
    break_glass,
    document,
    everything,
    expand,
    lastn,
    lookup,
    meta,
    subsumes,
    translate,
    validate,
)
from fhir_server.operations import validate_code as of_codes
from fhir_server.rest.exchange import Route
from fhir_server.rest.operation import Operation, routes_of

OPERATIONS: tuple[Operation, ...] = (
    *validate.OPERATIONS,
    *meta.OPERATIONS,
    *everything.OPERATIONS,
    break_glass.OPERATION,
    lastn.OPERATION,
    document.OPERATION,
    document.OF_TYPE,
    expand.OPERATION,
    *of_codes.OPERATIONS,
    lookup.OPERATION,
    subsumes.OPERATION,
    translate.OPERATION,
)
ROUTES: tuple[Route, ...] = tuple(route for operation in OPERATIONS for route in routes_of(operation))
