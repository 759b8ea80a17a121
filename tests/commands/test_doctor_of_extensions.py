"""What `nhipcau doctor` finds of what extensions need, each asked for real."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from fhir_server.settings import settings
from tests.orthanc import USER, OrthancServer, free_port, started_or_skipped
from tests.telesession.test_relay import coturn

__all__ = ("coturn",)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Iterator[OrthancServer]:
    with started_or_skipped(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def told(nhipcau, data, monkeypatch):
    """Runs the doctor with settings; gives its exit status and the findings by check and state."""

    def run(**chosen: object) -> tuple[int, dict[tuple[str, str], dict[str, str]]]:
        for name, value in chosen.items():
            monkeypatch.setenv(f"NHIPCAU_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
        settings.cache_clear()  # as in a process of its own
        status, printed, _ = nhipcau("doctor", "--data", data, "--json")
        return status, {(each["check"], each["state"]): each for each in json.loads(printed)}

    yield run
    settings.cache_clear()


def test_without_anything_set_all_is_well(told):
    status, found = told()
    assert status == 0
    for check in ("image archive", "media", "notices", "viewer"):
        assert (check, "good") in found
    assert "coturn" in found["ice servers", "warning"]["fix"]


def test_an_orthanc_that_is_away_or_does_not_know_the_server_is_found(told, archive: OrthancServer):
    status, found = told(archive=f"orthanc=http://127.0.0.1:{free_port()}")
    assert status == 1
    assert "NHIPCAU_ARCHIVE" in found["image archive", "bad"]["fix"]
    status, found = told(archive=f"orthanc={archive.address.replace(USER, 'somebody')}")
    assert status == 1
    assert "does not answer as it should" in found["image archive", "bad"]["text"]
    status, found = told(archive=f"orthanc={archive.address}")
    assert (status, archive.url in found["image archive", "good"]["text"]) == (0, True)


def test_servers_of_ice_are_asked(told, coturn: str):
    status, found = told(ice_servers=[coturn], turn_secret="s")
    assert (status, coturn in found["ice servers", "good"]["text"]) == (0, True)
    status, found = told(ice_servers=[f"turn:127.0.0.1:{free_port()}?transport=tcp"])
    assert (status, "coturn" in found["ice servers", "bad"]["fix"]) == (1, True)
    status, found = told(ice_servers=["nonsense"])
    assert (status, "no address" in found["ice servers", "bad"]["text"]) == (1, True)
    status, found = told(ice_servers=[coturn], turn_secret="")
    assert (status, "TURN_SECRET" in found["ice servers", "bad"]["text"]) == (1, True)


def test_a_janus_and_a_server_of_mail_that_are_away_are_found(told):
    status, found = told(
        media=f"janus=http://127.0.0.1:{free_port()}/janus", janus_secret="s", janus_admin_key="k",
        smtp_url=f"smtp://127.0.0.1:{free_port()}",
    )  # fmt: skip
    assert status == 1
    assert "systemctl status janus" in found["media", "bad"]["fix"]
    assert "NHIPCAU_SMTP_URL" in found["notices", "bad"]["fix"]


def test_a_port_for_modalities_that_another_program_has_is_found(told):
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, found = told(dicom_port=other.getsockname()[1])
    assert (status, "ss -ltnp" in found["dicom port", "bad"]["fix"]) == (1, True)
    assert "NHIPCAU_DICOM_PEERS" in found["dicom port", "warning"]["fix"]
    status, found = told(dicom_port=free_port())
    assert (status, "free" in found["dicom port", "good"]["text"]) == (0, True)
