"""The names and values in the query of a URL or in a form (the URL standard, 5.1 application/x-www-form-urlencoded)."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from fhir_server.errors import Invalid, Issue

Pairs = Sequence[tuple[str, str]]

MOST_PARAMETERS = 1000


def pairs_in(query: str) -> Pairs:
    """Return the names and values in a query, decoded; raise Invalid for what is not UTF-8, or too much."""
    if not query:
        return ()
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise Invalid(Issue("error", "value", "The parameters are not UTF-8 in percent-encoding.")) from None
    except ValueError:
        raise Invalid(Issue("error", "too-costly", f"There are more than {MOST_PARAMETERS} parameters.")) from None
