"""Where tests find the public data that is too large, or not ours, to be kept in this repository."""

import os
import tarfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fhir_server.store.sqlite import prose
from tests import mongodb as mongodb_server
from tests import orthanc as orthanc_server
from tests import processes

REPOSITORY = Path(__file__).resolve().parent.parent

# How long an example takes says how busy the machine is.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_runtest_setup() -> None:
    """Tell the servers of one test from those of another."""
    processes.forget_ended()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a server wrote where a test that uses it fails."""
    report = yield
    if report.failed:
        report.sections.extend((f"log of {base}", log) for base, log in processes.logs())
    return report


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of this repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the shared data; tests that ask for it are skipped, with the reason, where it is absent."""
    folder = Path(os.environ.get("NHIPCAU_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder}: set NHIPCAU_SHARED to its folder")
    return folder.resolve()


@pytest.fixture(scope="session", autouse=True)
def everything_on_mongodb() -> Iterator[None]:
    """One MongoDB for all servers that tests start, where NHIPCAU_TEST_STORE asks for it."""
    if not mongodb_server.is_wanted():
        yield
        return
    with mongodb_server.started() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONGODB_URL", url)
        yield


@pytest.fixture(scope="session", autouse=True)
def patient_searches_for_words() -> Iterator[None]:
    """A machine that is busy with other work takes longer than the server would have a client wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prose, "PATIENCE", 120.0)
        yield


@pytest.fixture(scope="session")
def mongodb() -> Iterator[str]:
    """The URL of a MongoDB, without a database: each test makes one of its own."""
    with mongodb_server.started_or_skipped() as url:
        yield url


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[orthanc_server.OrthancServer]:
    """A running Orthanc; who needs it empty empties it."""
    with orthanc_server.started_or_skipped(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="session")
def r4_core(shared: Path) -> Path:
    """The official package of the R4 definitions."""
    return shared / "data" / "fhir" / "hl7.fhir.r4.core-4.0.1.tgz"


@pytest.fixture(scope="session")
def r4_examples(shared: Path) -> Mapping[str, bytes]:
    """The official R4 examples as their bytes, by file name without `.json`."""
    return dict(_json_files(shared / "data" / "fhir" / "hl7.fhir.r4.examples-4.0.1.tgz"))


@pytest.fixture(scope="session")
def synthea_bundles(shared: Path) -> Mapping[str, bytes]:
    """The synthetic patients as transaction Bundles, by file name without `.json`."""
    return dict(_json_files(shared / "data" / "synthea" / "transaction-bundles.tgz"))


@pytest.fixture(scope="session")
def synthea_resources(shared: Path) -> list[bytes]:
    """The resources of the synthetic patients' bulk export, one JSON text each."""
    files = sorted((shared / "data" / "synthea").glob("*.ndjson"))
    return [line for file in files for line in file.read_bytes().splitlines() if line.strip()]


def _json_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as files:
        for member in files:
            path = Path(member.name)
            content = files.extractfile(member)
            if content and path.suffix == ".json" and path.stem not in ("package", ".index"):
                yield path.stem, content.read()
