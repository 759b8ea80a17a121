"""A file of a view's rows that grows: JSON, NDJSON, CSV or Parquet (SQL on FHIR v2, $viewdefinition-export)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fhir_server.national.definition import Column
from fhir_server.national.parquet import arrow_of, schema_of
from fhir_server.national.tabulation import Form, Row, rows_written
from fhir_server.resource.exact import dump_exact


class ViewFile:
    """One file; rows are added in lots, and it is whole when it is closed. Everything here blocks."""

    def __init__(self, path: Path, form: Form, columns: Sequence[Column], *, header: bool) -> None:
        self.count = 0
        self._form = form
        self._columns = columns
        self._names = [column.name for column in columns]
        self._file: Any = path.open("wb")
        self._table: Any = None
        if form.name == "parquet":
            self._table = pq.ParquetWriter(self._file, schema_of(columns), compression="zstd")
        elif form.name == "json":
            self._file.write(b"[")
        elif form.name == "csv" and header:
            self._file.write(rows_written(form, self._names, []))

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows; raise Unprocessable for a value that is not of its column's type."""
        if not rows:
            return
        if self._table is not None:
            self._table.write_table(arrow_of(self._columns, rows))
        elif self._form.name == "json":
            self._file.write(b"," * (self.count > 0) + b",".join(map(dump_exact, rows)))
        else:
            self._file.write(rows_written(self._form, self._names, rows, header=False))
        self.count += len(rows)

    def close(self) -> None:
        """End the file."""
        if self._table is not None:
            self._table.close()
        elif self._form.name == "json":
            self._file.write(b"]")
        self._file.close()
