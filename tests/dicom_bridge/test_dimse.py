"""DICOM's own protocol as foreign programs speak it: dcmtk's tools, and pynetdicom where those cannot."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.ae import ApplicationEntity

from dicom_bridge.dimse import MPPS, WORKLIST
from dicom_bridge.extension import images
from tests.dicom_bridge.samples import PART_10, slice_of, written
from tests.orthanc import free_port
from tests.processes import Program
from tests.serving import Served, serving

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

TOOLS = ("echoscu", "storescu", "dcmsend", "findscu", "dump2dcm")
PEERS = [
    {"ae_title": "CT1", "host": "127.0.0.1"},
    {"ae_title": "OLD1", "host": "127.0.0.1", "character_set": "ISO_IR 6"},
    {"ae_title": "STORER", "host": "127.0.0.1/32", "may": ["store"]},
    {"ae_title": "ELSEWHERE", "host": "192.0.2.0/24"},
]
IMAGING = {"coding": [{"system": "http://snomed.info/sct", "code": "363679005", "display": "Imaging"}]}
DCM = "http://dicom.nema.org/resources/ontology/DCM"


class Bridge:
    """A server with its DICOM port."""

    def __init__(self, served: Served, port: int, folder: Path) -> None:
        self.served, self.port, self.folder = served, port, folder

    def run(self, tool: str, *arguments: object, calling: str = "CT1", called: str = "NHIPCAU") -> tuple[int, str]:
        """The exit status of one of dcmtk's tools, and what it says."""
        program = shutil.which(tool)
        if program is None:
            pytest.skip(f"{tool} is not installed: `make setup` names the package dcmtk")
        command = [program, "-aet", calling, "-aec", called, "127.0.0.1", str(self.port), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, timeout=120, env={**os.environ, "TCP_NODELAY": "1"}, check=False
        )
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    def found(self, path: str) -> list[dict[str, Any]]:
        """What QIDO-RS finds."""
        answer = self.served.send("GET", f"http://node/dicom-web/{path}")
        return list(answer.json())

    def ask(self, keys: Dataset, calling: str = "CT1") -> list[Dataset]:
        """The answers of the worklist."""
        entity = ApplicationEntity(calling)
        entity.add_requested_context(WORKLIST)
        association = entity.associate("127.0.0.1", self.port, ae_title="NHIPCAU")
        assert association.is_established
        try:
            answers = list(association.send_c_find(keys, WORKLIST))
        finally:
            association.release()
        assert answers[-1][0].Status == 0
        return [found for state, found in answers if state.Status == 0xFF00 and found is not None]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    folder = tmp_path_factory.mktemp("node")
    port = free_port()
    limits = {"image_bytes": 2_000_000, "dicom_associations": 3}
    chosen: dict[str, Any] = {"dicom_port": port, "dicom_peers": PEERS, **limits}
    with serving(folder, extensions=[images], **chosen) as served:
        until(lambda: is_open(port))
        yield Bridge(served, port, folder)


def until(what: Any) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_open(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_who_is_known_is_answered(bridge: Bridge):
    assert bridge.run("echoscu") == (0, "")
    assert bridge.run("echoscu", calling="STORER") == (0, "")


@pytest.mark.parametrize(
    ("calling", "called", "said"),
    [
        ("STRANGER", "NHIPCAU", "Calling AE Title Not Recognized"),
        ("ELSEWHERE", "NHIPCAU", "Calling AE Title Not Recognized"),
        ("CT1", "ANOTHER", "Called AE Title Not Recognized"),
    ],
)
def test_who_is_not_known_is_refused(bridge: Bridge, calling: str, called: str, said: str):
    code, text = bridge.run("echoscu", calling=calling, called=called)
    assert code
    assert said in text


def test_a_peer_does_no_more_than_it_may(bridge: Bridge):
    entity = ApplicationEntity("STORER")
    entity.add_requested_context(WORKLIST)
    association = entity.associate("127.0.0.1", bridge.port, ae_title="NHIPCAU")
    assert not association.is_established


def test_what_is_sent_is_stored_as_it_came(bridge: Bridge, tmp_path: Path):
    for number in (1, 2, 3):
        written(slice_of("1.2.30", number=number), tmp_path / f"{number}.dcm")
    code, text = bridge.run("dcmsend", "--scan-directories", tmp_path)
    assert code == 0, text
    code, text = bridge.run("storescu", tmp_path / "1.dcm")
    assert code == 0, text
    (study,) = bridge.found("studies?StudyInstanceUID=1.2.30")
    assert study["00201208"]["Value"] == [3]
    assert study["00100010"]["Value"] == [{"Alphabetic": "Nguyễn^Thị Ánh"}]
    answer = bridge.served.send(
        "GET",
        "http://node/dicom-web/studies/1.2.30/series/1.2.30.1/instances/1.2.30.1.2",
        headers={"accept": "application/dicom"},
    )
    sent = (tmp_path / "2.dcm").read_bytes()
    assert data_set(answer.content) == data_set(sent)


def data_set(content: bytes) -> bytes:
    """What follows the file's meta information, of which each program writes its own."""
    (length,) = struct.unpack("<I", content[140:144])
    return content[144 + length :]


def test_what_is_refused_says_why(bridge: Bridge, tmp_path: Path):
    file = written(slice_of("1.2.31"), tmp_path / "a.dcm")
    other = written(slice_of("1.2.31", StudyDescription="another"), tmp_path / "b.dcm")
    stranger = written(slice_of("1.2.31", number=2, PatientID="VN-2"), tmp_path / "c.dcm")
    assert bridge.run("storescu", file)[0] == 0
    for each, code in ((other, "0111"), (stranger, "0110")):
        _, text = bridge.run("storescu", "-v", "-d", each)
        assert f"0x{code}" in text.lower()
    (study,) = bridge.found("studies?StudyInstanceUID=1.2.31")
    assert study["00201208"]["Value"] == [1]


def test_an_instance_that_is_too_long_ends_the_association(bridge: Bridge, tmp_path: Path):
    dataset = slice_of("1.2.32")
    dataset.Rows, dataset.Columns = 1024, 2048
    dataset.PixelData = bytes(1024 * 2048 * 2)
    code, _ = bridge.run("storescu", written(dataset, tmp_path / "a.dcm"))
    assert code
    assert bridge.found("studies?StudyInstanceUID=1.2.32") == []
    assert bridge.run("echoscu") == (0, "")


def test_a_message_that_announces_too_much_is_not_waited_for(bridge: Bridge):
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=10) as connection:
        connection.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFF0) + bytes(1000))
        connection.settimeout(10)
        assert ends(connection)
    assert bridge.run("echoscu") == (0, "")


def ends(connection: socket.socket) -> bool:
    """Whether the other side ends a connection, saying no more than that."""
    try:
        return len(connection.recv(100)) <= 10
    except ConnectionError:
        return True


JUNK = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "zeroes": bytes(64),
    "short association": b"\x01\x00\x00\x00\x00\x04abcd",
    "data before association": b"\x04\x00\x00\x00\x00\x06abcdef",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=list(JUNK))
def test_junk_harms_nobody(bridge: Bridge, junk: bytes):
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=10) as connection:
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(15)
        ends(connection)
    assert bridge.run("echoscu") == (0, "")


def test_real_files_are_stored_or_refused_with_a_reason(bridge: Bridge, tmp_path: Path):
    """Those of pydicom: each is stored, or the status and the text say why not."""
    kept = 0
    files = [path for path in PART_10 if path.stat().st_size < 1_000_000][:60]
    for path in files:
        code, text = bridge.run("dcmsend", "-v", "--no-halt", path)
        kept += "0x0000" in text or "Success" in text
        assert code == 0 or "rror" in text, (path.name, text)
    assert kept > len(files) // 2


@pytest.fixture(scope="module")
def order(bridge: Bridge) -> Mapping[str, Any]:
    patient = bridge.served.create(
        {
            "resourceType": "Patient",
            "identifier": [
                {"system": "http://x/cccd", "value": "001099000001"},
                {"type": {"coding": [{"code": "MR"}]}, "system": "http://x/mr", "value": "VN-9"},
            ],
            "name": [{"use": "official", "family": "Nguyễn", "given": ["Thị", "Ánh"]}],
            "birthDate": "1980-02-03",
            "gender": "female",
        }
    )
    request = bridge.served.create(
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "category": [IMAGING],
            "priority": "stat",
            "code": {"text": "Chụp CT sọ não", "coding": [{"system": DCM, "code": "CT"}]},
            "subject": {"reference": f"Patient/{patient['id']}"},
            "identifier": [{"type": {"coding": [{"code": "ACSN"}]}, "system": "http://x/acc", "value": "ACC-77"}],
            "authoredOn": "2026-11-20T08:00:00+07:00",
            "requester": {"display": "Trần Văn Đức"},
        }
    )
    task = bridge.served.create(
        {
            "resourceType": "Task",
            "status": "ready",
            "intent": "order",
            "focus": {"reference": f"ServiceRequest/{request['id']}"},
            "for": {"reference": f"Patient/{patient['id']}"},
            "restriction": {"period": {"start": "2026-11-24T01:30:00Z"}},
            "input": [
                {"type": {"coding": [{"system": DCM, "code": "121139"}]}, "valueCode": "CT"},
                {"type": {"coding": [{"system": DCM, "code": "110119"}]}, "valueString": "CT1"},
            ],
        }
    )
    return {"patient": patient, "request": request, "task": task}


def keys(**step: str) -> Dataset:
    """What a modality asks for."""
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    asked.PatientName = asked.PatientID = asked.AccessionNumber = asked.StudyInstanceUID = ""
    asked.RequestedProcedureDescription = asked.RequestedProcedureID = asked.PatientBirthDate = ""
    asked.ReferringPhysicianName = asked.AdmissionID = ""
    item = Dataset()
    item.Modality = item.ScheduledStationAETitle = item.ScheduledProcedureStepID = ""
    item.ScheduledProcedureStepStartDate = item.ScheduledProcedureStepStartTime = ""
    for keyword, value in step.items():
        setattr(item, keyword, value)
    asked.ScheduledProcedureStepSequence = [item]
    return asked


@pytest.mark.usefixtures("order")
def test_an_order_is_on_the_worklist(bridge: Bridge):
    (found,) = bridge.ask(
        keys(Modality="CT", ScheduledStationAETitle="CT1", ScheduledProcedureStepStartDate="20261124")
    )
    assert str(found.PatientName) == "Nguyễn^Thị Ánh"
    assert (found.PatientID, found.PatientBirthDate, found.AccessionNumber) == ("VN-9", "19800203", "ACC-77")
    assert found.StudyInstanceUID.startswith("2.25.")
    assert found.RequestedProcedureDescription == "Chụp CT sọ não"
    assert found.AdmissionID == ""
    (step,) = found.ScheduledProcedureStepSequence
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == ("20261124", "083000")


@pytest.mark.usefixtures("order")
def test_an_old_device_gets_letters_that_it_has(bridge: Bridge):
    (found,) = bridge.ask(keys(), calling="OLD1")
    assert str(found.PatientName) == "Nguyen^Thi Anh"
    assert found.RequestedProcedureDescription == "Chup CT so nao"
    assert str(found.ReferringPhysicianName) == "Tran Van Duc"
    assert "SpecificCharacterSet" not in found


@pytest.mark.usefixtures("order")
def test_the_worklist_is_narrowed_by_keys(bridge: Bridge):
    assert bridge.ask(keys(Modality="MR")) == []
    assert bridge.ask(keys(ScheduledProcedureStepStartDate="20261125-")) == []
    assert len(bridge.ask(keys(ScheduledProcedureStepStartDate="20261101-20261130"))) == 1
    asked = keys()
    asked.PatientName = "nguyen*"
    assert len(bridge.ask(asked)) == 1
    asked.PatientName = "tran*"
    assert bridge.ask(asked) == []


@pytest.mark.usefixtures("order")
def test_dcmtk_reads_the_worklist(bridge: Bridge):
    code, text = bridge.run("findscu", "-W", "-k", "PatientName=", "-k", "AccessionNumber=ACC-77", "-k", "PatientID")
    assert code == 0
    assert "Nguyễn^Thị Ánh" in text


def test_a_performed_step_is_a_task(bridge: Bridge, order: Mapping[str, Any]):
    (entry,) = bridge.ask(keys())
    study = entry.StudyInstanceUID
    entity = ApplicationEntity("CT1")
    entity.add_requested_context(MPPS)
    association = entity.associate("127.0.0.1", bridge.port, ae_title="NHIPCAU")
    uid = generate_uid()
    begun = Dataset()
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    begun.PerformedProcedureStepStartDate, begun.PerformedProcedureStepStartTime = "20261124", "084000"
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study
    begun.ScheduledStepAttributesSequence = [scheduled]
    ended = Dataset()
    ended.PerformedProcedureStepStatus = "COMPLETED"
    ended.PerformedProcedureStepEndDate, ended.PerformedProcedureStepEndTime = "20261124", "085500"
    try:
        assert association.send_n_create(begun, MPPS, uid)[0].Status == 0
        task = bridge.served.get(f"Task/{order['task']['id']}").json()
        assert task["status"] == "in-progress"
        assert task["executionPeriod"] == {"start": "2026-11-24T08:40:00+07:00"}
        assert bridge.ask(keys()) == []
        (imaging,) = [
            each["resource"]
            for each in bridge.served.get(f"ImagingStudy?identifier=urn:dicom:uid|urn:oid:{study}").json()["entry"]
        ]
        assert imaging["status"] == "registered"
        assert imaging["basedOn"] == [{"reference": f"ServiceRequest/{order['request']['id']}"}]
        assert association.send_n_create(begun, MPPS, uid)[0].Status == 0x0111
        assert association.send_n_set(ended, MPPS, generate_uid())[0].Status == 0x0112
        assert association.send_n_set(ended, MPPS, uid)[0].Status == 0
        assert association.send_n_set(ended, MPPS, uid)[0].Status == 0x0110
        wrong = Dataset()
        wrong.PerformedProcedureStepStatus = "COMPLETED"
        assert association.send_n_create(wrong, MPPS, generate_uid())[0].Status == 0x0106
    finally:
        association.release()
    task = bridge.served.get(f"Task/{order['task']['id']}").json()
    assert task["status"] == "completed"
    assert task["executionPeriod"]["end"] == "2026-11-24T08:55:00+07:00"
    assert {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"} in task["identifier"]


def test_images_of_an_order_are_its_study(bridge: Bridge, order: Mapping[str, Any], tmp_path: Path):
    place = f"ServiceRequest/{order['request']['id']}"
    (registered,) = studies_of(bridge, place)
    uid = registered["identifier"][0]["value"].removeprefix("urn:oid:")
    dataset = slice_of(uid, AccessionNumber="ACC-77", PatientID="VN-9", PatientBirthDate="19800203", PatientSex="F")
    assert bridge.run("storescu", written(dataset, tmp_path / "a.dcm"))[0] == 0
    until(lambda: studies_of(bridge, place)[0]["status"] == "available")
    (imaging,) = studies_of(bridge, place)
    assert imaging["id"] == registered["id"]
    assert imaging["numberOfInstances"] == 1
    assert imaging["subject"] == order["request"]["subject"]


def studies_of(bridge: Bridge, order: str) -> list[dict[str, Any]]:
    """The ImagingStudy resources that are based on an order."""
    found = bridge.served.get(f"ImagingStudy?basedon={order}").json()
    return [each["resource"] for each in found.get("entry", ())]


def test_nothing_is_left_of_what_was_received(bridge: Bridge):
    folder = bridge.folder / "dicom" / "incoming"
    until(lambda: not list(folder.iterdir()))


@pytest.mark.server
def test_of_several_processes_one_listens_and_another_follows_it(tmp_path: Path):
    port = free_port()
    file = written(slice_of("1.2.40"), tmp_path / "a.dcm")
    program = shutil.which("storescu")
    if program is None:
        pytest.skip("storescu is not installed: `make setup` names the package dcmtk")
    command = [program, "-aet", "CT1", "-aec", "NHIPCAU", "127.0.0.1", str(port), str(file)]
    peers = orjson.dumps(PEERS[:1]).decode()
    server = Program(tmp_path, "--workers", "2", dicom_port=port, dicom_peers=peers)
    try:
        until(lambda: is_open(port))
        assert said(command) == ""
        (listening,) = [each for each in children(server.process.pid) if listens(each, port)]
        os.kill(listening, signal.SIGKILL)
        until(lambda: any(listens(each, port) for each in children(server.process.pid) if each != listening))
        assert said(command) == ""
        found = httpx.get(f"{server.base.removesuffix('/fhir')}/dicom-web/studies").json()
        assert [study["0020000D"]["Value"] for study in found] == [["1.2.40"]]
    finally:
        server.stop()


def said(command: list[str]) -> str:
    """What a program says that does not succeed."""
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


def children(process: int) -> list[int]:
    """The processes that one started."""
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def listens(process: int, port: int) -> bool:
    """Whether a process listens on a port of its own."""
    sockets = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    try:
        held = [str(each.readlink()) for each in Path(f"/proc/{process}/fd").iterdir()]
    except FileNotFoundError:
        return False
    return any(f"socket:[{inode}]" in held for inode in sockets)
