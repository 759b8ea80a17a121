"""The door to the resources of a node: validate, index, commit; read, search, history (FHIR R4, 3.1.0 RESTful API)."""
