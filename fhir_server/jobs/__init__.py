"""Long work as FHIR Task: progress, cancellation, one process at a time, resumption after a restart."""
