"""Search parameters and the index rows that they read from resources (FHIR R4, 3.1.1 Search)."""
