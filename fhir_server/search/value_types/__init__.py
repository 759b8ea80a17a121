"""One module for each type of search parameter: from searched values to tests of index rows (FHIR R4, 3.1.1.4)."""
