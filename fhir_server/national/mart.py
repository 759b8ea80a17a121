"""The tables that indicators are counted in, made of the rows of views; and the counting, by DuckDB.

It blocks: call it in a thread. Days and months are those of Viet Nam.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from fhir_server.national.definition import Column
from fhir_server.national.indicator import Indicator
from fhir_server.national.lake import connected
from fhir_server.national.parquet import arrow_of
from fhir_server.national.stratum import Count, Counted

ZONE = "Asia/Ho_Chi_Minh"
ALLOWED = resources.files("fhir_server.national").joinpath("remote_diagnoses.csv")

Table = tuple[Sequence[Column], Sequence[Mapping[str, Any]]]


MOMENT = "CREATE MACRO moment(x) AS TRY_CAST(x AS TIMESTAMPTZ)"
MINUTES = "CREATE MACRO between_them(a, b) AS epoch(moment(b) - moment(a)) / 60.0"
DAY = "CREATE MACRO day_of(x) AS coalesce(strftime(moment(x), '%Y-%m-%d'), x)"
STEPS = (
    MOMENT,
    MINUTES,
    DAY,
    """
    CREATE TABLE places AS SELECT id, active IS NOT FALSE AS active, coalesce(place, 'unknown') AS province,
        coalesce(tier, 'unknown') AS tier FROM sites
    """,
    """
    CREATE TABLE residents AS SELECT id, coalesce(place, 'unknown') AS commune, coalesce(ethnicity, 'unknown') AS
        ethnicity, coalesce(gender, 'unknown') AS sex, TRY_CAST(left(birth_date, 4) AS INTEGER) AS born FROM homes
    """,
    """
    CREATE TABLE consultations AS
    SELECT e.id, e.status, e.facility, e.patient, e.request, e.period_start,
        coalesce(p.province, 'unknown') AS province, coalesce(p.tier, 'unknown') AS tier,
        coalesce(e.service_type, 'unknown') AS specialty, coalesce(r.mode, 'unknown') AS mode,
        coalesce(r.activity, 'unknown') AS activity,
        CASE WHEN e.disposition IS NULL THEN 'unknown' WHEN e.disposition IN ('other-hcf', 'hosp') THEN 'transferred'
            ELSE 'managed' END AS outcome,
        coalesce(h.sex, 'unknown') AS sex,
        CASE WHEN h.born IS NULL THEN 'unknown' WHEN age < 5 THEN '0-4' WHEN age < 15 THEN '5-14'
            WHEN age < 60 THEN '15-59' ELSE '60+' END AS age,
        between_them(e.period_start, e.period_end) AS minutes,
        (SELECT max(between_them(i.started, e.period_start)) FROM imaging_studies i
            WHERE i.encounter = e.id OR i.request = e.request
                OR i.id IN (SELECT s.study FROM shared_images s WHERE s.id = e.request)) AS imaged,
        (SELECT sum(between_them(o.started, o.ended)) FROM interruptions o WHERE o.id = e.id) AS lost
    FROM (SELECT *, TRY_CAST(left(period_start, 4) AS INTEGER) AS year FROM encounters) e
    LEFT JOIN places p ON p.id = e.facility
    LEFT JOIN consultation_requests r ON r.id = e.request
    LEFT JOIN (SELECT id, sex, born FROM residents) h ON h.id = e.patient,
    LATERAL (SELECT e.year - h.born AS age)
    WHERE (e.class = 'VR' OR e.type = '14') AND day_of(e.period_start) BETWEEN $first AND $last
    """,
    """
    CREATE TABLE requests AS
    SELECT r.id, r.status, coalesce(r.mode, 'unknown') AS mode, coalesce(r.activity, 'unknown') AS activity,
        coalesce(r.priority, 'routine') AS priority, coalesce(p.province, 'unknown') AS province,
        (SELECT min(between_them(r.authored_on, a.created)) FROM appointments a WHERE a.request = r.id
            AND a.status <> 'entered-in-error') AS booked_after,
        EXISTS (SELECT 1 FROM appointments a WHERE a.request = r.id AND a.status = 'noshow') AS missed,
        (SELECT min(between_them(r.authored_on, e.period_start)) FROM encounters e WHERE e.request = r.id
            AND e.status IN ('arrived', 'in-progress', 'onleave', 'finished')) AS started_after
    FROM consultation_requests r LEFT JOIN places p ON p.id = r.requester
    WHERE day_of(r.authored_on) BETWEEN $first AND $last
    """,
    """
    CREATE TABLE readings AS
    SELECT d.status, d.facility AS reader, coalesce(e.facility, r.requester) AS facility,
        coalesce(p.province, 'unknown') AS province
    FROM reads d LEFT JOIN encounters e ON e.id = d.encounter LEFT JOIN consultation_requests r ON r.id = d.request
    LEFT JOIN places p ON p.id = coalesce(e.facility, r.requester)
    WHERE d.category = 'RAD' AND coalesce(e.facility, r.requester) IS NOT NULL
        AND day_of(coalesce(d.issued, d.effective)) BETWEEN $first AND $last
    """,
)
"""What is made of the views, one after another."""


def counted(indicators: Sequence[Indicator], tables: Mapping[str, Table], first: str, last: str) -> dict[str, Counted]:
    """Return what each indicator counts from one day to another, both included; `tables` are those of VIEWS."""
    with connected() as connection:
        connection.execute(f"SET TimeZone = '{ZONE}'")
        for name, (columns, rows) in tables.items():
            connection.register("given", arrow_of(columns, rows))
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM given')
            connection.unregister("given")
        connection.execute("CREATE TABLE allowed (first VARCHAR, last VARCHAR)")
        connection.executemany("INSERT INTO allowed VALUES (?, ?)", allowed())
        for step in STEPS:
            given = {"first": first, "last": last} if "$first" in step else None
            connection.execute(step, given)
        return {each.id: _of(connection, each) for each in indicators}


def allowed() -> list[list[str]]:
    """Return the ranges of diagnoses that may be treated directly from afar (Circular 30/2023/TT-BYT)."""
    return [[row["first"], row["last"]] for row in csv.DictReader(ALLOWED.read_text("utf-8").splitlines())]


def _of(connection: Any, indicator: Indicator) -> Counted:
    sums = "sum(numerator), sum(denominator), median(minutes)"
    (total,) = connection.execute(f"SELECT {sums} FROM ({indicator.sql})").fetchall()
    strata = {}
    for dimension in indicator.dimensions:
        rows = connection.execute(
            f"SELECT coalesce({dimension}, 'unknown'), {sums} FROM ({indicator.sql}) GROUP BY 1 ORDER BY 1"
        ).fetchall()
        strata[dimension] = {value: _count(found) for value, *found in rows}
    return Counted(_count(total), strata)


def _count(found: Sequence[Any]) -> Count:
    numerator, denominator, minutes = found
    return Count(
        int(numerator or 0), None if denominator is None else int(denominator),
        None if minutes is None else round(float(minutes), 1),
    )  # fmt: skip
