"""The rim of HTTP: requests and answers as values, and all that HTTP adds (FHIR R4, 3.1.0 RESTful API)."""
