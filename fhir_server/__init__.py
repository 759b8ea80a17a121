"""The FHIR R4 (4.0.1) server of Nhịp Cầu."""
