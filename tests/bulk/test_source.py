import gzip
import io
import tarfile

import pytest

from fhir_server.bulk.source import Source

LINES = b'{"a":1}\n\n{"b":2}\n{"c":3}'


def listed(path, after=0):
    folder = f"{path.parent}/"
    return [(item.number, item.place.removeprefix(folder), item.text) for item in Source(path).items(after)]


@pytest.fixture
def file(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return written


@pytest.mark.parametrize(("name", "content"), [("a.ndjson", LINES), ("a.ndjson.gz", gzip.compress(LINES, mtime=0))])
def test_lines_are_numbered_as_they_stand(file, name, content):
    path = file(name, content)
    assert listed(path) == [
        (1, f"{name}:1", b'{"a":1}\n'), (3, f"{name}:3", b'{"b":2}\n'), (4, f"{name}:4", b'{"c":3}'),
    ]  # fmt: skip
    assert [number for number, _, _ in listed(path, after=3)] == [4]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.xml"])
def test_a_file_of_one_resource_is_one_item(file, name):
    content = gzip.compress(b"{}") if name.endswith(".gz") else b"{}"
    assert listed(file(name, content)) == [(1, name, b"{}")]
    assert listed(file(name, content), after=1) == []


def test_an_archive_gives_its_members(file):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("x/1.json", "x/readme.txt", "x/2.xml"):
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"{}"))
    path = file("a.tgz", packed.getvalue())
    assert listed(path) == [(1, "a.tgz:x/1.json", b"{}"), (3, "a.tgz:x/2.xml", b"{}")]


def test_a_broken_file_says_so(file):
    with pytest.raises(EOFError):
        listed(file("a.ndjson.gz", gzip.compress(LINES)[:-10]))
    with pytest.raises(tarfile.TarError):
        listed(file("a.tar", b"nothing"))


def test_what_others_refer_to_is_read_first(file):
    names = ["Observation.ndjson", "Patient.000.ndjson", "Organization.ndjson", "hospitalInformation1.json"]
    ranked = sorted((Source(file(name, b"")) for name in names), key=lambda each: each.rank)
    assert [each.path.name for each in ranked] == names[::-1]


def test_a_changed_file_is_another(file):
    before = Source(file("a.ndjson", b"{}")).identity
    assert Source(file("a.ndjson", b"{} ")).identity != before
