"""Narrative content: the XHTML that FHIR allows in `Narrative.div` (FHIR R4, 2.4.0.1)."""

def problems(div: str) -> tuple[str, ...]:
    """What is wrong with a narrative."""
    return ()
