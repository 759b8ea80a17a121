"""Many resources at once: files in, files out, resumable (FHIR R4, 2.6.4 NDJSON; Bulk Data Access 1.0)."""
