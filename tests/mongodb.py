"""The MongoDB that tests use: the one that MONGODB_URL names, or mongo-java-server, started in memory.

The latter keeps nothing on disk and knows no sessions, transactions, `explain` or `$text`; what tests show with it is
what MongoDB promises of single documents, unique keys and queries, and no more.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fetching import BUILD, alone

HERE = Path(__file__).resolve().parent
VERSION = "1.47.0"
LIBRARIES = BUILD / f"mongo-java-server-{VERSION}"
POM = f"""
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>nhipcau</groupId>
  <artifactId>mongodb-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>de.bwaldvogel</groupId>
      <artifactId>mongo-java-server</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
SECONDS_TO_FETCH = 300
SECONDS_TO_STOP = 20


def is_wanted() -> bool:
    """Whether every server that a test starts shall stand on MongoDB (NHIPCAU_TEST_STORE=mongodb)."""
    return os.environ.get("NHIPCAU_TEST_STORE") == "mongodb"


def database_of(folder: Path, server: str) -> str:
    """The URL of the database that belongs to a test's folder."""
    return f"{server}/test-{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


class Unavailable(Exception):
    """There is no MongoDB to test with; the text says what to do."""


@contextmanager
def started() -> Iterator[str]:
    """The URL of a server, without a database: of MONGODB_URL, or of one of our own that ends with the block."""
    named = os.environ.get("MONGODB_URL")
    if named:
        yield named
        return
    java = program("java", "javac")
    with alone():
        fetch()
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as errors:
            command = [java, "-Xmx1g", "-cp", f"{LIBRARIES}/*", str(HERE / "MongoJavaServer.java")]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdin
        assert process.stdout
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise Unavailable(f"mongo-java-server did not start:\n{log.read_text()}")
            yield f"mongodb://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def fetch() -> None:
    """Bring the server's libraries into `build/`, once; whoever comes first puts them there whole."""
    if LIBRARIES.is_dir():
        return
    maven = program("mvn")
    LIBRARIES.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=LIBRARIES.parent) as folder:
        (Path(folder) / "pom.xml").write_text(POM)
        command = [maven, "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=libraries"]
        done = subprocess.run(
            command, check=False, cwd=folder, capture_output=True, text=True, timeout=SECONDS_TO_FETCH
        )
        if done.returncode:
            raise Unavailable(f"Maven could not fetch mongo-java-server {VERSION}:\n{done.stdout}{done.stderr}")
        try:
            (Path(folder) / "libraries").rename(LIBRARIES)
        except OSError:
            if not LIBRARIES.is_dir():
                raise


def program(name: str, *beside: str) -> str:
    """Where a program is, if those that come with it are there too."""
    found = shutil.which(name)
    if found is None or None in map(shutil.which, beside):
        raise Unavailable(
            "No MongoDB to test with: set MONGODB_URL to a replica set, or install a JDK (11 or newer) and Maven "
            "(Debian: apt-get install default-jdk-headless maven)."
        )
    return found


@contextmanager
def started_or_skipped() -> Iterator[str]:
    """A server as `started` gives it; without one the tests that ask for it are skipped, with the reason."""
    try:
        with started() as url:
            yield url
    except Unavailable as reason:
        pytest.skip(str(reason))
