"""The archive in Orthanc where Orthanc fails, is changed by others, or has what cannot be shown."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from dicom_bridge import orthanc as rest
from dicom_bridge.archive import Refused, Stored, Uids
from dicom_bridge.orthanc import Account
from dicom_bridge.orthanc_archive import OrthancArchive, Room
from dicom_bridge.orthanc_examination import examined
from dicom_bridge.orthanc_feed import Pace
from dicom_bridge.question import question
from fhir_server.errors import Unavailable
from tests.dicom_bridge.samples import slice_of, written
from tests.orthanc import OrthancServer, started_or_skipped

QUICK = Pace(looks=0.05, own=0.1, counts=0.1, missing=0.3)
INSTANCE = Uids("1.2.3", "1.2.3.1", "1.2.3.1.1")


@pytest.fixture
def server(orthanc: OrthancServer) -> OrthancServer:
    orthanc.empty()
    return orthanc


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OrthancServer]:
    """An Orthanc that may be killed, and overwrites."""
    folder = tmp_path / "server"
    folder.mkdir()
    with started_or_skipped(folder, OverwriteInstances=True) as server:
        yield server


@asynccontextmanager
async def opened(
    server: OrthancServer, folder: Path, pace: Pace = QUICK, copies: int = 10_000_000
) -> AsyncIterator[OrthancArchive]:
    archive = OrthancArchive(folder / "archive", Account.of(server.address), lambda: 1.8e9, Room(10**7, copies), pace)
    async with archive.following():
        yield archive


def content(folder: Path, number: int = 1, **elements: str) -> bytes:
    return written(slice_of("1.2.3", 1, number, **elements), folder / "written").read_bytes()


async def store(archive: OrthancArchive, *contents: bytes, replaces: bool = False) -> list[Stored | Refused]:
    incoming = []
    for each in contents:
        incoming.append(archive.receive())
        incoming[-1].write(each)
    return list(await archive.store(incoming, replaces=replaces))


async def told(archive: OrthancArchive) -> list[tuple[str, str]]:
    return [(each.action, each.uids.instance) for each in await archive.changes(0, 1000)]


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await what():  # noqa: ASYNC110 -- another program decides when
            await asyncio.sleep(0.05)


async def read(archive: OrthancArchive, uids: Uids = INSTANCE) -> bytes:
    (held,) = await archive.held(uids)
    return b"".join([piece async for piece in archive.read(held)])


def test_what_comes_to_orthanc_by_another_way_is_found(server: OrthancServer, tmp_path: Path):
    sent = content(tmp_path)

    async def test() -> None:
        async with opened(server, tmp_path) as archive:
            await asyncio.to_thread(server.client.post, "/instances", content=sent)

            async def is_told() -> bool:
                return await told(archive) == [("create", "1.2.3.1.1")]

            await until(is_told)
            assert await read(archive) == sent
            assert len((await archive.find(question("study", [("PatientName", "nguyen*")]))).answers) == 1

    asyncio.run(test())


def test_what_goes_from_orthanc_is_a_deletion(server: OrthancServer, tmp_path: Path):
    async def test() -> None:
        async with opened(server, tmp_path) as archive:
            await store(archive, content(tmp_path, 1), content(tmp_path, 2))
            name = server.client.post("/tools/lookup", content="1.2.3.1.1").json()[0]["ID"]
            await asyncio.to_thread(server.client.delete, f"/instances/{name}")

            async def is_told() -> bool:
                return ("delete", "1.2.3.1.1") in await told(archive)

            await until(is_told)
            assert [held.uids.instance for held in await archive.held(Uids("1.2.3"))] == ["1.2.3.1.2"]

    asyncio.run(test())


def test_what_is_overwritten_in_orthanc_is_one_update(own_server: OrthancServer, tmp_path: Path):
    other = content(tmp_path, StudyDescription="another")

    async def test() -> None:
        async with opened(own_server, tmp_path) as archive:
            await store(archive, content(tmp_path))
            await asyncio.sleep(0.5)
            await asyncio.to_thread(own_server.client.post, "/instances", content=other)

            async def is_told() -> bool:
                return len(await told(archive)) == 2

            await until(is_told)
            assert await told(archive) == [("create", "1.2.3.1.1"), ("update", "1.2.3.1.1")]
            assert await read(archive) == other

    asyncio.run(test())


def test_a_study_that_comes_under_another_patient_hides_nothing(server: OrthancServer, tmp_path: Path):
    sent = content(tmp_path)
    stranger = content(tmp_path, 2, PatientID="VN-2")

    async def test() -> None:
        async with opened(server, tmp_path) as archive:
            await store(archive, sent)
            await asyncio.to_thread(server.client.post, "/instances", content=stranger)

            async def is_refused() -> bool:
                return bool(archive.refused())

            await until(is_refused)
            (refused,) = archive.refused()
            assert refused.uids.instance == "1.2.3.1.2"
            assert "another patient" in refused.reason
            assert await told(archive) == [("create", "1.2.3.1.1")]
            assert await read(archive) == sent

    asyncio.run(test())


def test_what_is_deleted_here_stays_in_orthanc_and_is_not_found_again(server: OrthancServer, tmp_path: Path):
    async def test() -> None:
        async with opened(server, tmp_path) as archive:
            await store(archive, content(tmp_path))
            assert await archive.delete(Uids("1.2.3")) == 1
            await asyncio.sleep(0.5)
        async with opened(server, tmp_path) as archive:
            await asyncio.sleep(0.5)
            assert await archive.held(Uids("1.2.3")) == []
            assert server.client.get("/statistics").json()["CountInstances"] == 1

    asyncio.run(test())


def test_what_was_replaced_is_kept(server: OrthancServer, tmp_path: Path):
    sent = content(tmp_path)
    other = content(tmp_path, StudyDescription="another")

    async def test() -> None:
        async with opened(server, tmp_path) as archive:
            await store(archive, sent)
            await store(archive, other, replaces=True)
            assert archive.put_aside(sha256(sent).hexdigest()).read_bytes() == sent
            await asyncio.sleep(0.5)
            assert await told(archive) == [("create", "1.2.3.1.1"), ("update", "1.2.3.1.1")]

    asyncio.run(test())


def test_a_replacement_that_was_cut_off_is_taken_back(server: OrthancServer, tmp_path: Path):
    sent = content(tmp_path)

    async def test() -> None:
        async with opened(server, tmp_path, replace(QUICK, counts=1000)) as archive:
            await store(archive, sent)
            name = server.client.post("/tools/lookup", content="1.2.3.1.1").json()[0]["ID"]
            await archive._make_room(name, replaces=True)
        async with opened(server, tmp_path, copies=1) as archive:

            async def is_back() -> bool:
                return bool(server.client.get("/statistics").json()["CountInstances"])

            await until(is_back)
            await asyncio.sleep(0.5)
            assert await read(archive) == sent
            assert await told(archive) == [("create", "1.2.3.1.1")]

    asyncio.run(test())


def test_copies_take_no_more_than_their_room_and_come_again(server: OrthancServer, tmp_path: Path):
    contents = [content(tmp_path, number) for number in range(1, 21)]

    async def test() -> None:
        async with opened(server, tmp_path, copies=3000) as archive:
            await store(archive, *contents)
            copies = [each for each in (tmp_path / "archive" / "copies").glob("*/*") if each.is_file()]
            assert sum(each.stat().st_size for each in copies) <= 3000
            for number, sent in enumerate(contents, 1):
                assert await read(archive, Uids("1.2.3", "1.2.3.1", f"1.2.3.1.{number}")) == sent
            frames = await archive.frames(INSTANCE, [1])
            assert frames is not None

    asyncio.run(test())


def test_nothing_acknowledged_is_lost_when_orthanc_is_killed(own_server: OrthancServer, tmp_path: Path):
    contents = {f"1.2.3.1.{number}": content(tmp_path, number) for number in range(1, 101)}
    acknowledged: list[str] = []

    async def test() -> None:
        async with opened(own_server, tmp_path, copies=1) as archive:

            async def send() -> None:
                for uid, sent in contents.items():
                    (stored,) = await store(archive, sent)
                    assert isinstance(stored, Stored)
                    acknowledged.append(uid)

            sending = asyncio.create_task(send())
            await until(lambda: _true(len(acknowledged) >= 10))
            own_server.kill()
            with pytest.raises(Unavailable, match="does not answer"):
                await sending
            assert acknowledged
            assert len(acknowledged) < 100
            assert len((await archive.find(question("instance", []))).answers) >= len(acknowledged)
            with pytest.raises(Unavailable):
                await read(archive)
            await asyncio.to_thread(own_server.start)
            for uid in acknowledged:
                assert await read(archive, Uids("1.2.3", "1.2.3.1", uid)) == contents[uid]
            for sent in contents.values():
                (stored,) = await store(archive, sent)
                assert isinstance(stored, Stored)
            assert len(await archive.held(Uids("1.2.3"))) == 100
            assert sorted(await told(archive)) == sorted(("create", uid) for uid in contents)

    asyncio.run(test())


async def _true(value: bool) -> bool:  # noqa: FBT001 -- it is what it returns
    return value


def test_one_that_hangs_does_not_hold_anybody(
    own_server: OrthancServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rest, "ANSWER_SECONDS", 0.5)

    async def test() -> None:
        assert own_server.process is not None
        async with opened(own_server, tmp_path) as archive:
            os.kill(own_server.process.pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(5):
                    with pytest.raises(Unavailable):
                        await store(archive, content(tmp_path))
            finally:
                os.kill(own_server.process.pid, signal.SIGCONT)

    asyncio.run(test())


def test_a_wrong_password_is_told(server: OrthancServer, tmp_path: Path):
    account = replace(Account.of(server.address), password="wrong")

    async def test() -> None:
        archive = OrthancArchive(tmp_path / "archive", account, lambda: 1.8e9, Room(10**7, 10**7), QUICK)
        async with archive.following():
            with pytest.raises(Unavailable, match="password"):
                await store(archive, content(tmp_path))

    asyncio.run(test())


def test_what_an_orthanc_is_is_told(server: OrthancServer, own_server: OrthancServer):
    assert list(examined(Account.of(server.address))) == []
    (fault,) = examined(replace(Account.of(server.address), password="wrong"))
    assert "NotAuthorized" in fault
    own_server.kill()
    (fault,) = examined(Account.of(own_server.address))
    assert "ConnectionError" in fault


def test_an_address_names_who_asks():
    assert Account.of("http://a%40b:p%3Aw@host:8042/orthanc/") == Account("http://host:8042/orthanc", "a@b", "p:w")
    assert Account.of("http://host:8042") == Account("http://host:8042", "", "")
