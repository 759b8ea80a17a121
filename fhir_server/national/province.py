"""A province at work: it counts its months, keeps the reports, and sends what the ministry has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import orjson
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.errors import NotFound
from fhir_server.national.catalogue import CANONICAL, own_view
from fhir_server.national.definition import read_view
from fhir_server.national.measure_report import Json
from fhir_server.national.pseudonym import ALLOWED, key_in, shared
from fhir_server.national.reporting import keep, reports_for, rows_of
from fhir_server.national.run import engine_of
from fhir_server.part import Part
from fhir_server.repository.history import Window
from fhir_server.resource.instant import instant
from fhir_server.rest.node import Node
from fhir_server.settings import Settings
from fhir_server.store.protocol import Scope

SENT = "national: sent to the ministry"
SHARED = "shared"
MANIFEST = "manifest.json"
PREFIX = "/national"


class Sending(Protocol):
    """The way to the ministry."""

    def report(self, body: Json) -> None:
        """Send a MeasureReport."""
        ...

    def submit(self, submitter: str, name: str, manifest: str, base: str, replaces: str) -> None:
        """Say where a manifest is."""
        ...


DISPATCH: Part[Callable[[Settings], Sending]] = Part("fhir_server.national.dispatch:Dispatch")


@dataclass(slots=True)
class Sent:
    """What the ministry has taken: all months before `month` for good, reports, and the manifest of rows.

    `place` is the last commit when it did, in the month `now`.
    """

    month: str = ""
    now: str = ""
    place: int = 0
    manifest: str = ""
    reports: dict[str, str] = field(default_factory=dict)


class Province:
    """The work of a province's node, whose files for the ministry are below a folder."""

    def __init__(self, settings: Settings, data: Path, base: str) -> None:
        self._settings = settings
        self._data = data
        self._base = base
        self._outside = base.removesuffix("/fhir")

    @property
    def name(self) -> str:
        """What the node is called at the ministry's."""
        return self._settings.ministry_client or f"province-{self._settings.province}"

    async def send(self, node: Node) -> int:
        """Count and send the months from the last that was sent to the present one; return how many reports went."""
        former = await node.notes.note(SENT)
        sent = Sent(**orjson.loads(former)) if former else Sent()
        now = month_at(node.clock())
        if (sent.place, sent.now) == (await last_place(node), now):
            return 0
        dispatch = DISPATCH.load()(self._settings)
        count = 0
        for month in months_between(sent.month or month_before(now), now):
            reports = await reports_for(node, self._settings.province, month)
            await keep(node, reports)
            for report in reports:
                digest = digest_of({key: value for key, value in report.items() if key != "date"})
                if sent.reports.get(report["id"]) != digest:
                    await asyncio.to_thread(dispatch.report, report)
                    sent.reports[report["id"]] = digest
                    count += 1
        if self._settings.report_rows:
            await self._share(node, dispatch, sent)
        # The month before is counted again: what is written late belongs to it.
        sent.month, sent.now, sent.place = month_before(now), now, await last_place(node)
        await node.notes.keep(SENT, orjson.dumps(asdict(sent)).decode(), former)
        return count

    async def _share(self, node: Node, dispatch: Sending, sent: Sent) -> None:
        """Put the rows of today into files under a name that only the ministry is told, unless they are the same."""
        key = await asyncio.to_thread(key_in, self._data)
        files = {}
        for name in ALLOWED:
            view = read_view(engine_of(node), own_view(name))
            lines = [orjson.dumps(shared(name, row, key)) async for row in rows_of(node, view)]
            files[name] = b"".join(b"%b\n" % line for line in sorted(lines))
        secret = sha256(key + digest_of({name: digest_of(raw) for name, raw in files.items()}).encode()).hexdigest()
        url = f"{self._outside}{PREFIX}/{SHARED}/{secret}/{MANIFEST}"
        if url == sent.manifest:
            return
        listed = [
            {"type": f"{CANONICAL}{name}", "url": url.replace(MANIFEST, f"{name}.ndjson"), "count": raw.count(b"\n")}
            for name, raw in files.items() if raw
        ]  # fmt: skip
        manifest = {"transactionTime": instant(int(node.clock() * 1000)), "requiresAccessToken": False,
                    "output": listed, "deleted": []}  # fmt: skip
        folder = self._data / SHARED / secret
        await asyncio.to_thread(_written, folder, {**{f"{name}.ndjson": raw for name, raw in files.items()},
                                                   MANIFEST: orjson.dumps(manifest)})  # fmt: skip
        await asyncio.to_thread(dispatch.submit, self.name, "rows", url, self._base, sent.manifest)
        sent.manifest = url

    async def file(self, request: Request) -> Response:
        """A file for whoever knows its name; raise NotFound."""
        secret, name = request.path_params["secret"], request.path_params["name"]
        path = self._data / SHARED / secret / name
        if not secret.isalnum() or not path.is_file() or path.parent.parent != self._data / SHARED:
            raise NotFound("There is no such file.")
        return Response(await asyncio.to_thread(path.read_bytes), media_type="application/ndjson")


async def last_place(node: Node) -> int:
    """Return the place of the last commit."""
    versions = await node.repository.versions(Scope(), Window(), 1)
    return versions[0].place if versions else 0


def month_at(seconds: float) -> str:
    """Return the month in Viet Nam."""
    return datetime.fromtimestamp(seconds, ZoneInfo("Asia/Ho_Chi_Minh")).strftime("%Y-%m")


def month_before(month: str) -> str:
    """Return the month before one."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year}-{number - 1:02}" if number > 1 else f"{year - 1}-12"


def months_between(first: str, last: str) -> list[str]:
    """Return the months from one to another, both included."""
    found = []
    while last >= first:
        found.append(last)
        last = month_before(last)
    return found[::-1]


def digest_of(value: object) -> str:
    """Return what tells one value from another."""
    raw = value if isinstance(value, bytes) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return sha256(raw).hexdigest()


def _written(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
