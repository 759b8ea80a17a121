"""The limits that keep every file and function small enough to read at once, and free of what does not belong."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "dicom_bridge", "fhir_server", "profiles", "telesession")
KINDS_OF_CODE = {
    "common", "constants", "helper", "helpers", "managers", "misc", "models", "schemas", "services", "utils",
}  # fmt: skip
LONGEST_FILE = 700
LONGEST_FUNCTION = 60
LONGEST_CONTRIBUTING = 100

# Written in pieces, so that this file passes its own rule.
REGISTRY_HOST = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("crates", "io"),
            ("proxy", "golang", "org"),
            ("maven", "org"),
            ("deb", "debian", "org"),
        )
    )
)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
ONE_MACHINE = re.compile(r"(?<![\w.])/(work|root|home|tmp)" r"/\w|proto" r"types/")


def committed_files() -> list[Path]:
    """Every file that is in version control, or would be at the next commit."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    files = (REPOSITORY / name for name in listing.stdout.split("\0") if name)
    return sorted(file for file in files if file.is_file())


FILES = committed_files()
PYTHON = [file for file in FILES if file.suffix == ".py"]
GENERATED = REPOSITORY / "profiles" / "r4"
WRITTEN = [file for file in FILES if file.parent != GENERATED and file.name != "LICENSE"]
SERVED = ("dicom_bridge", "fhir_server", "telesession")


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{file.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(text_of(file).splitlines(), 1)
        if pattern.search(line)
    ]


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(text_of(file))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_or_folder_is_named_for_a_kind_of_code():
    named = [str(file) for file in (f.relative_to(REPOSITORY) for f in FILES) if _names(file) & KINDS_OF_CODE]
    assert not named


def _names(file: Path) -> set[str]:
    return {part.lower() for part in (*file.parent.parts, file.stem)}


def test_no_file_is_too_long_to_be_read_at_once():
    lengths = {str(file.relative_to(REPOSITORY)): len(text_of(file).splitlines()) for file in PYTHON}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long_to_be_seen_at_once():
    lengths = {
        f"{file.relative_to(REPOSITORY)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for file in PYTHON
        for function in functions(file)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_contributing_is_short_enough_to_be_read():
    assert len(text_of(REPOSITORY / "CONTRIBUTING.md").splitlines()) < LONGEST_CONTRIBUTING


def test_no_file_names_the_host_of_a_package_registry():
    assert lines_with(REGISTRY_HOST, WRITTEN) == []


def test_nothing_is_left_unfinished():
    assert lines_with(UNFINISHED, WRITTEN) == []


def test_no_file_depends_on_the_folders_of_one_machine():
    assert lines_with(ONE_MACHINE, WRITTEN) == []


def test_only_the_settings_read_the_environment():
    settings = REPOSITORY / "fhir_server" / "settings.py"
    others = [file for file in PYTHON if file.relative_to(REPOSITORY).parts[0] in SERVED and file != settings]
    assert lines_with(re.compile(r"\bos\.(environ|getenv)"), others) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_in_one_sentence_what_it_is(package: str):
    docstring = ast.get_docstring(ast.parse(text_of(REPOSITORY / package / "__init__.py")))
    assert docstring
    assert "\n" not in docstring
