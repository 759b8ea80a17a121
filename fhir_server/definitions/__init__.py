"""Typed, read-only view of conformance resources: structures, terminology, search parameters (FHIR R4, 5.1)."""
