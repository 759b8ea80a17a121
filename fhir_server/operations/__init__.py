"""The operations of FHIR R4 that this server answers, one module each (FHIR R4, 3.2 Extended Operations)."""
