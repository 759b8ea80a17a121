"""Rows of a view as Arrow tables and Parquet files: the one place where FHIR types become column types.

Dates and times are texts, as FHIR's may lack a day or a time; whoever reads them casts what is whole.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fhir_server.errors import Issue, Unprocessable
from fhir_server.national.definition import Column
from fhir_server.resource.exact import dump_exact

DECIMAL = pa.decimal128(38, 12)
PLACE = Decimal(1).scaleb(-12)
WHOLE = frozenset({"integer", "positiveInt", "unsignedInt", "integer64"})

Row = Mapping[str, Any]


def column_type(column: Column) -> Any:
    """Return the Arrow type of a column."""
    if column.type == "boolean":
        kind = pa.bool_()
    elif column.type in WHOLE:
        kind = pa.int64()
    else:
        kind = DECIMAL if column.type == "decimal" else pa.string()
    return pa.list_(kind) if column.collection else kind


def schema_of(columns: Sequence[Column]) -> Any:
    """Return the Arrow schema of a view."""
    return pa.schema([pa.field(column.name, column_type(column)) for column in columns])


def arrow_of(columns: Sequence[Column], rows: Iterable[Row]) -> Any:
    """Return rows as an Arrow table; raise Unprocessable for a value that is not of its column's type."""
    listed = list(rows)
    schema = schema_of(columns)
    arrays = []
    for column, field in zip(columns, schema, strict=True):
        kind = field.type.value_type if column.collection else field.type
        values = [_cell(row.get(column.name), kind, is_list=column.collection) for row in listed]
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, OverflowError, TypeError) as error:
            text = f"Column {column.name} says that it is {column.type or 'text'}, and holds something else: {error}"
            raise Unprocessable(Issue("error", "value", text[:300])) from None
    return pa.Table.from_arrays(arrays, schema=schema)


def parquet_of(columns: Sequence[Column], rows: Iterable[Row]) -> bytes:
    """Return rows as a Parquet file, packed with zstd."""
    made = io.BytesIO()
    pq.write_table(arrow_of(columns, rows), made, compression="zstd")
    return made.getvalue()


def rows_in(raw: bytes) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of the columns and the rows of a Parquet file."""
    table = pq.read_table(io.BytesIO(raw))
    return table.column_names, table.to_pylist()


def _cell(value: Any, kind: Any, *, is_list: bool) -> Any:
    if value is None:
        return None
    if is_list:
        return [_cell(each, kind, is_list=False) for each in value]
    if kind == DECIMAL:
        return _decimal(value)
    if kind == pa.string() and not isinstance(value, str):
        return dump_exact(value).decode()
    if kind == pa.int64() and isinstance(value, Decimal | float):
        return int(value) if value == int(value) else value
    return value


def _decimal(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    with localcontext(prec=38):
        try:
            return Decimal(str(value)).quantize(PLACE, ROUND_HALF_EVEN)
        except InvalidOperation:
            raise Unprocessable(
                Issue("error", "value", f"{str(value)[:60]} has no room in a decimal column.")
            ) from None
