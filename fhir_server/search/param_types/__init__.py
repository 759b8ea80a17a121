"""One module for each type of search parameter: from values of FHIR types to index rows (FHIR R4, 3.1.1.4)."""
