"""Resources as JSON: reading, exact writing, id and meta, references, instants (FHIR R4, 2.6.2 JSON)."""
