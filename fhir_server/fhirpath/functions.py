"""All functions by name: the sections of the specification in one table."""

from __future__ import annotations

from fhir_server.fhirpath import (
    boundary,
    combining,
    conversion,
    existence,
    fhir_functions,
    filtering,
    mathematics,
    strings,
    subsetting,
    tracing,
    tree,
)
from fhir_server.fhirpath.function import Table
from fhir_server.fhirpath.types import FUNCTIONS as TYPE_FUNCTIONS

FUNCTIONS: Table = {
    **existence.FUNCTIONS,
    **filtering.FUNCTIONS,
    **subsetting.FUNCTIONS,
    **combining.FUNCTIONS,
    **conversion.FUNCTIONS,
    **strings.FUNCTIONS,
    **mathematics.FUNCTIONS,
    **boundary.FUNCTIONS,
    **tree.FUNCTIONS,
    **tracing.FUNCTIONS,
    **TYPE_FUNCTIONS,
    **fhir_functions.FUNCTIONS,
}
