"""Which codes there are, what they are called and which value sets they are in (FHIR R4, 4 Terminology Module)."""
