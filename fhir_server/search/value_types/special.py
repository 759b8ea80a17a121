"""Values of special parameters: `near=latitude|longitude|distance|unit` (FHIR R4, 8.7.3 Location search parameters)."""

from __future__ import annotations

from decimal import Decimal

from fhir_server import ucum
from fhir_server.search.escape import split, unescaped
from fhir_server.search.plan import Near
from fhir_server.search.precision import amount
from fhir_server.search.question import Form, Question, Rows, Unreadable
from fhir_server.search.row import Special

DEFAULT_METRES = 50_000.0
DEFAULT_UNIT = "km"
MILES = {"mi": "[mi_i]", "mile": "[mi_i]", "miles": "[mi_i]"}
SHAPE = "write latitude|longitude|distance|unit, as in 21.0285|105.8542|10|km"


def near(text: str, question: Question) -> Rows:
    """Positions within a distance of a point: 50 km where none is given, and in km where no unit is given."""
    parts = [unescaped(part).strip() for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise Unreadable(SHAPE)
    latitude, longitude = (float(amount(part).value) for part in parts[:2])
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise Unreadable("a latitude lies between -90 and 90 degrees, a longitude between -180 and 180")
    metres = distance(*parts[2:]) if parts[2:] and parts[2] else DEFAULT_METRES
    return (Near(Special.POSITION, latitude, longitude, metres),)


def distance(number: str, unit: str = "") -> float:
    """The metres of a distance in any unit of length that UCUM has."""
    code = MILES.get(unit, unit or DEFAULT_UNIT)
    value = amount(number).value
    metres = ucum.convert(value, code, "m") if value >= Decimal(0) else None
    if metres is None:
        raise Unreadable(f"{number} {unit} is no distance; {SHAPE}")
    return float(metres)


FORMS = {"": Form(near)}
OPERATORS = {"eq": Form(near)}
