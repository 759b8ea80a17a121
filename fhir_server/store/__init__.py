"""Versions of resources and their index rows, remembered durably; the rules live above (FHIR R4, 3.1.0 RESTful API)."""
