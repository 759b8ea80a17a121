"""Validation of resources against R4, profiles and terminology, compiled to closures (FHIR R4, 2.16 validation)."""
