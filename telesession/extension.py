"""Consultations as an extension of the server: their workflow as FHIR operations, their rooms below /telesession."""

from __future__ import annotations

from fhir_server.extension import Extension, Surroundings

PREFIX = "/telesession"


def telesession(surroundings: Surroundings) -> Extension:
    """Return the extension."""
    return Extension("telesession", PREFIX)
