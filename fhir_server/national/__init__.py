"""What a nation may know: views as tables, and files that many nodes' tables are kept in (SQL on FHIR v2)."""
