"""DICOMweb under load: our server, and Orthanc beside it in the same run: `python -m bench images`."""

from __future__ import annotations

import asyncio
import statistics
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bench import orthanc
from bench.figure import Figure
from bench.http import started_on
from bench.load import Client, closed_loop, cpu_seconds, memory_bytes

SLICES, SIDE = 300, 512
STUDIES = 100
AT_ONCE = 10
SENDERS = 4
VIEWERS = 4
DEVELOPED = 100
SECONDS = 3.0
REPEATED = 9
STUDY = "1.2.826.0.1.3680043.10.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SYNTAX = "1.2.840.10008.1.2.1"
BOUNDARY = b"cut-here-cut-here"
STOW = {
    "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}',
    "Accept": "application/dicom+json",
}
JSON = {"Accept": "application/dicom+json"}
FRAMES = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
LONG = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT"})


@dataclass(frozen=True, slots=True)
class Target:
    """A DICOMweb server: what figures call it, its address, its processes, and what lets a request in."""

    name: str
    base: str
    processes: Sequence[int]
    headers: Mapping[str, str] = field(default_factory=dict)

    def cpu(self) -> float:
        """The CPU seconds that it used so far."""
        return sum(map(cpu_seconds, self.processes))


def measure(shared: Path) -> list[Figure]:
    """Ours on files, Orthanc, and ours over that Orthanc: the same instances, the same questions."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        for target in targets(Path(folder), running):
            figures += asyncio.run(measured(target))
    return figures


def targets(folder: Path, running: ExitStack) -> Iterator[Target]:
    """Yield each server, running; the last keeps its images in an Orthanc of its own."""
    ours = running.enter_context(started_on(folder / "ours"))
    assert ours.process is not None
    yield Target("images", f"{ours.base.removesuffix('/fhir')}/dicom-web", [ours.process])
    if not orthanc.is_installed():
        return
    other = running.enter_context(orthanc.beside(folder / "orthanc"))
    yield Target("images, Orthanc alone", f"{other.base}/dicom-web", [other.process], other.headers)
    below = running.enter_context(orthanc.beside(folder / "below"))
    over = running.enter_context(started_on(folder / "over", 1, "--archive", below.archive))
    assert over.process is not None
    processes = [over.process, below.process]
    yield Target("images in Orthanc", f"{over.base.removesuffix('/fhir')}/dicom-web", processes)


async def measured(target: Target) -> list[Figure]:
    """All figures of one server."""
    noise = Random(1).randbytes(2 * SIDE * SIDE)
    slices = [instance(STUDY, number, SIDE, noise) for number in range(1, SLICES + 1)]
    small = [instance(f"{STUDY}.{number}", 1, 8, bytes(128)) for number in range(1, STUDIES + 1)]
    await stored(target, small)  # what is loaded with the first image is loaded now
    figures = [*await stored(target, slices)]
    figures.append(await asked(target, "study list of 100", f"studies?limit={STUDIES}", STUDIES))
    figures.append(await asked(target, f"metadata of {SLICES}", f"studies/{STUDY}/metadata", SLICES))
    figures += await viewed(target)
    figures += await developed(target, "rendered", "/rendered", "image/jpeg")
    if target.name == "images":
        figures += await developed(target, "HTJ2K", "", 'multipart/related; type="image/jphc"')
    figures.append(Figure(f"{target.name}: memory", sum(map(memory_bytes, target.processes)) / 1e6, "MB"))
    return figures


async def stored(target: Target, instances: Sequence[bytes]) -> list[Figure]:
    """Send instances, some in each message, over several connections."""
    messages = iter([message(instances[at : at + AT_ONCE]) for at in range(0, len(instances), AT_ONCE)])

    async def send(client: Client) -> None:
        for body in messages:
            answer = await client.ask("POST", "studies", body)
            assert answer.status == 200, answer.body[:500]

    clients = [Client(target.base, {**target.headers, **STOW}) for _ in range(SENDERS)]
    begun, spent = time.perf_counter(), target.cpu()
    await asyncio.gather(*map(send, clients))
    seconds, spent = time.perf_counter() - begun, target.cpu() - spent
    for client in clients:
        client.close()
    return [
        Figure(f"{target.name}: STOW", len(instances) / seconds, "instances/s"),
        Figure(f"{target.name}: STOW, of the server's CPU", len(instances) / spent, "instances/CPU-s"),
    ]


async def asked(target: Target, what: str, path: str, count: int) -> Figure:
    """The median milliseconds of a question with so many answers, each held to be complete."""
    client = Client(target.base, {**target.headers, **JSON})
    times = []
    for _ in range(REPEATED):
        begun = time.perf_counter()
        answer = await client.ask("GET", path)
        times.append(1000 * (time.perf_counter() - begun))
        assert answer.status == 200, answer.body[:500]
        assert answer.body.count(b"0020000D") == count
    client.close()
    return Figure(f"{target.name}: {what}", statistics.median(times), "ms")


async def viewed(target: Target) -> list[Figure]:
    """Retrieve frames as fast as they come."""
    turn = 0

    async def frame(client: Client) -> int:
        nonlocal turn
        turn = turn % SLICES + 1
        answer = await client.ask("GET", f"studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.{turn}/frames/1")
        assert answer.status == 200, answer.body[:500]
        assert len(answer.body) > 2 * SIDE * SIDE
        return 1

    spent = target.cpu()
    outcome = await closed_loop(target.base, frame, VIEWERS, SECONDS, None, {**target.headers, **FRAMES})
    return [
        Figure(f"{target.name}: frames", outcome.rate, "frames/s"),
        Figure(f"{target.name}: frames, of the server's CPU", outcome.units / (target.cpu() - spent), "frames/CPU-s"),
        Figure(f"{target.name}: frames p95", outcome.percentile(0.95), "ms"),
    ]


async def developed(target: Target, what: str, suffix: str, accept: str) -> list[Figure]:
    """Ask for frames in another form, each once for the first time, and then again."""
    figures = []
    for how in ("", " again"):
        left = iter(range(1, DEVELOPED + 1))

        async def ask(client: Client, left: Iterator[int] = left) -> None:
            for number in left:
                where = f"studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.{number}/frames/1{suffix}"
                answer = await client.ask("GET", where)
                assert answer.status == 200, answer.body[:500]

        clients = [Client(target.base, {**target.headers, "Accept": accept}) for _ in range(VIEWERS)]
        begun, spent = time.perf_counter(), target.cpu()
        await asyncio.gather(*map(ask, clients))
        seconds, spent = time.perf_counter() - begun, target.cpu() - spent
        for client in clients:
            client.close()
        name = f"{target.name}: {what}{how}"
        figures.append(Figure(name, DEVELOPED / seconds, "frames/s"))
        figures.append(Figure(f"{name}, of the server's CPU", DEVELOPED / max(spent, 0.01), "frames/CPU-s"))
    return figures


def message(instances: Sequence[bytes]) -> bytes:
    """Return the body of a STOW-RS request."""
    parts = [b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (BOUNDARY, each) for each in instances]
    return b"".join([*parts, b"--%s--\r\n" % BOUNDARY])


def instance(study: str, number: int, side: int, pixels: bytes) -> bytes:
    """Return a CT image as a file (PS3.10, 7.1), Explicit VR Little Endian."""
    uid = f"{study}.1.{number}"
    meta = elements([
        (0x0002, 0x0001, b"OB", b"\0\1"),
        (0x0002, 0x0002, b"UI", CT),
        (0x0002, 0x0003, b"UI", uid),
        (0x0002, 0x0010, b"UI", SYNTAX),
        (0x0002, 0x0012, b"UI", "1.2.826.0.1.3680043.10.2"),
    ])  # fmt: skip
    body = elements([
        (0x0008, 0x0005, b"CS", "ISO_IR 192"),
        (0x0008, 0x0016, b"UI", CT),
        (0x0008, 0x0018, b"UI", uid),
        (0x0008, 0x0020, b"DA", "20261123"),
        (0x0008, 0x0030, b"TM", "081500"),
        (0x0008, 0x0050, b"SH", f"A{study[-6:]}"),
        (0x0008, 0x0060, b"CS", "CT"),
        (0x0008, 0x1030, b"LO", "Chụp CT sọ não"),
        (0x0010, 0x0010, b"PN", "Nguyễn^Thị Ánh"),
        (0x0010, 0x0020, b"LO", f"VN{study[-6:]}"),
        (0x0020, 0x000D, b"UI", study),
        (0x0020, 0x000E, b"UI", f"{study}.1"),
        (0x0020, 0x0011, b"IS", "1"),
        (0x0020, 0x0013, b"IS", str(number)),
        (0x0028, 0x0002, b"US", struct.pack("<H", 1)),
        (0x0028, 0x0004, b"CS", "MONOCHROME2"),
        (0x0028, 0x0010, b"US", struct.pack("<H", side)),
        (0x0028, 0x0011, b"US", struct.pack("<H", side)),
        (0x0028, 0x0100, b"US", struct.pack("<H", 16)),
        (0x0028, 0x0101, b"US", struct.pack("<H", 16)),
        (0x0028, 0x0102, b"US", struct.pack("<H", 15)),
        (0x0028, 0x0103, b"US", struct.pack("<H", 1)),
        (0x7FE0, 0x0010, b"OW", pixels),
    ])  # fmt: skip
    length = elements([(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta)))])
    return bytes(128) + b"DICM" + length + meta + body


def elements(found: Sequence[tuple[int, int, bytes, str | bytes]]) -> bytes:
    """Return elements as they stand in a file (PS3.5, 7.1.2)."""
    written = []
    for group, element, representation, value in found:
        content = value if isinstance(value, bytes) else value.encode()
        content += (b"\0" if representation in (b"UI", b"OB") else b" ") * (len(content) % 2)
        form = "<HH2sxxI" if representation in LONG else "<HH2sH"
        written += [struct.pack(form, group, element, representation, len(content)), content]
    return b"".join(written)
