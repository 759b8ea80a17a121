"""FHIRPath 2.0 (N1) as used by FHIR R4: `engine.Engine` is the door, `parser.parse` gives the syntax tree."""
