"""Ties DICOM archives to FHIR: every study an ImagingStudy with its patient, order and consultation."""
