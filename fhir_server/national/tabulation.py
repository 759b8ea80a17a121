"""Rows of a view as JSON, NDJSON, CSV or Parquet (SQL on FHIR v2, $viewdefinition-run, `_format`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.national.definition import Column
from fhir_server.part import Part
from fhir_server.resource.exact import dump_exact
from fhir_server.rest.failure import NotAcceptable, nearest

Row = Mapping[str, Any]
PARQUET: Part[Callable[[Sequence[Column], Iterable[Row]], bytes]] = Part("fhir_server.national.parquet:parquet_of")


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a table: its name, its media type, the ending of its files."""

    name: str
    media_type: bytes
    suffix: str


FORMS = {
    "json": Form("json", b"application/json", ".json"),
    "ndjson": Form("ndjson", b"application/x-ndjson", ".ndjson"),
    "csv": Form("csv", b"text/csv; charset=utf-8", ".csv"),
    "parquet": Form("parquet", b"application/vnd.apache.parquet", ".parquet"),
}
ALIASES = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/fhir+ndjson": "ndjson",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/parquet": "parquet",
}


def form_of(asked: str | None, accept: str | None) -> Form:
    """Return the form that `_format` names, else the first that Accept does, else JSON; raise NotAcceptable."""
    if asked is not None:
        name = asked.partition(";")[0].strip().replace(" ", "+").lower()
        found = FORMS.get(ALIASES.get(name, name))
        if found is None:
            text = f"_format={asked[:80]} is no form of a table. Ask for {', '.join(FORMS)}.{nearest(name, FORMS)}"
            raise NotAcceptable(text)
        return found
    names = (each.partition(";")[0].strip().lower() for each in (accept or "").split(","))
    return next((FORMS[ALIASES[name]] for name in names if name in ALIASES), FORMS["json"])


def written(form: Form, columns: Sequence[Column], rows: Sequence[Row], *, header: bool = True) -> bytes:
    """Return a table of rows; `header` is the first line of a CSV."""
    if form.name == "parquet":
        return PARQUET.load()(columns, rows)
    return rows_written(form, [column.name for column in columns], rows, header=header)


def rows_written(form: Form, names: Sequence[str], rows: Sequence[Row], *, header: bool = True) -> bytes:
    """Return rows with columns of these names in a form that is text."""
    if form.name == "json":
        return dump_exact(list(rows))
    return lines_of(rows) if form.name == "ndjson" else csv_of(names, rows, header=header)


def lines_of(rows: Iterable[Row]) -> bytes:
    """Return rows as NDJSON."""
    return b"".join(b"%b\n" % dump_exact(row) for row in rows)


def csv_of(names: Sequence[str], rows: Iterable[Row], *, header: bool) -> bytes:
    """Return rows as CSV (RFC 4180); nothing is an empty field, and lists and objects are JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if header:
        writer.writerow(names)
    for row in rows:
        writer.writerow([_field(row.get(name)) for name in names])
    return text.getvalue().encode()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return dump_exact(value).decode()
    return dump_exact(value).decode() if isinstance(value, list | dict) else str(value)
