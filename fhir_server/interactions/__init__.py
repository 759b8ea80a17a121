"""The interactions of FHIR's RESTful API, one file each, and the table of their URLs (FHIR R4, 3.1.0)."""
