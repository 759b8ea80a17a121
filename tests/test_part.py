"""What is loaded only where it is chosen, in processes of their own: a module once loaded stays."""

import json
import re
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest

from dicom_bridge import reporting
from dicom_bridge.incoming import BULK_VALUE, READ_INSTANCE
from dicom_bridge.question import TAG_OF
from dicom_bridge.reception import STUDY_OF
from fhir_server.app import TRAIL
from fhir_server.auth.entrance import EXTERNAL, OWN
from fhir_server.auth.records import MONGO_RECORDS
from fhir_server.cli import ADMIT, COMMANDS
from fhir_server.page import DRAWN
from fhir_server.store.opening import MONGO_STORE

OF_LOGIN = {"argon2", "authlib", "cryptography", "httpx", "jinja2", "joserfc", "pyotp", "segno"}
OF_MONGODB = {"bson", "gridfs", "pymongo"}
OF_ANALYSIS = {"chdb", "duckdb", "pyarrow"}
OF_IMAGES = {"numpy", "orthanc_api_client", "pydicom", "pynetdicom", "reportlab", "requests"}
TELLING = """
import sys
from fhir_server.__main__ import main
try:
    main()
finally:
    print("loaded", *sys.modules, flush=True)
"""


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TELLING, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def loaded(process: subprocess.Popen[str]) -> set[str]:
    told, errors = process.communicate(timeout=60)
    assert "loaded " in told, errors
    return set(told.rpartition("loaded ")[2].split())


def served(folder, *options: str) -> set[str]:
    """What a server on an empty folder has loaded after its first request."""
    process = started("serve", "--port", "0", "--data", folder / "data", *options)
    assert process.stdout is not None
    base = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+/fhir", line)))
    ask = Request(f"{base}/metadata")
    with urlopen(ask, timeout=60) as answer:
        assert json.load(answer)["resourceType"] == "CapabilityStatement"
    process.terminate()
    return loaded(process)


@pytest.mark.server
def test_a_server_that_asks_nobody_loads_nothing_of_login_nor_of_mongodb_nor_of_images(tmp_path):
    assert not served(tmp_path, "--auth", "off") & (OF_LOGIN | OF_MONGODB | OF_IMAGES | OF_ANALYSIS)


@pytest.mark.server
def test_a_server_that_asks_loads_what_log_in_needs_and_nothing_of_mongodb(tmp_path):
    found = served(tmp_path, "--auth", "on")
    assert found >= OF_LOGIN
    assert not found & OF_MONGODB


def test_a_command_loads_no_other_command():
    found = loaded(started("explain", "--help"))
    assert "fhir_server.commands.explain" in found
    assert "fhir_server.commands.backup" not in found
    assert not found & (OF_LOGIN | OF_MONGODB)


@pytest.mark.parametrize(
    "part",
    [
        *COMMANDS.values(),
        *(ADMIT, EXTERNAL, MONGO_RECORDS, MONGO_STORE, OWN, TRAIL),
        *(BULK_VALUE, READ_INSTANCE, STUDY_OF, TAG_OF),
        *(reporting.DOCUMENT, DRAWN, reporting.ENCAPSULATED, reporting.KEY_IN, reporting.SIGNED),
    ],
    ids=lambda part: part.name,
)
def test_each_part_is_where_it_is_named(part):
    assert callable(part.load())


def test_the_help_tells_of_every_command():
    told, _ = started("--help").communicate(timeout=60)
    listed = re.findall(r"^  ([\w-]+)  +(\w.*)", told.partition("Commands:")[2], re.MULTILINE)
    assert {name for name, _ in listed} == {"validate", "fhirpath", "serve", "demo", "package", *COMMANDS}


def test_a_mistyped_command_is_told_the_nearest():
    _, errors = started("bakup").communicate(timeout=60)
    assert "Did you mean 'backup'?" in errors


AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dicom_bridge.incoming import BULK_VALUE, READ_INSTANCE
from dicom_bridge.question import TAG_OF
sys.setswitchinterval(1e-5)
with ThreadPoolExecutor(8) as threads:
    parts = [READ_INSTANCE, TAG_OF, BULK_VALUE] * 8
    assert all(map(callable, threads.map(lambda part: part.load(), parts)))
    assert TAG_OF.load()("PatientName") == "00100010"
"""


def test_parts_that_share_a_library_can_be_loaded_at_once():
    for _ in range(3):
        subprocess.run([sys.executable, "-c", AT_ONCE], check=True, timeout=60)
