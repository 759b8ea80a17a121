"""`nhipcau viewer install`: OHIF as its makers built it, fetched by npm and set up for the images of this server."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha512
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dicom_bridge.viewer import FOLDER, INDEX, PREFIX

PACKAGE = "@ohif/app@3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
BUILT = PurePosixPath("package/dist")
LEFT_OUT = (
    "ort",
    "init-service-worker.js",
    "sw.js",
    "google.js",
    "app-config.js",
    "_headers",
    "_redirects",
    "serve.json",
)
"""A neural network's runtime, what asks other sites for programs, and what other servers read."""
PACKED_SUFFIXES = (".js", ".css", ".wasm", ".svg", ".html")
LARGEST_FILE = 100_000_000
SECONDS = 600

CONFIGURATION = Path(__file__).with_name("ohif_configuration.js")
SERVICE_WORKER = '<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>'
MOVED = {
    b'__webpack_require__.p = "/";': f'__webpack_require__.p = "{PREFIX}/";'.encode(),
    b"url(/": f"url({PREFIX}/".encode(),
}
"""Where programs and styles look for other files, as they are built and as they are served."""

viewer_app = typer.Typer(help="The workstation for radiologists at /ohif/.", no_args_is_help=True)


class NotInstalled(Exception):
    """The viewer cannot be installed; it says why."""


@viewer_app.callback()
def group() -> None:
    """The workstation for radiologists at /ohif/."""


@viewer_app.command("install")
def install(
    data: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="The folder that everything is kept in.")
    ] = Path("nhipcau-data"),
    package: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, exists=True, help="The package, fetched elsewhere.")
    ] = None,
) -> None:
    """Fetch OHIF by npm, or take it from a file, check it and set it up; a server that runs serves it at once."""
    try:
        with TemporaryDirectory() as folder:
            files = installed(package or fetched(Path(folder)), data / FOLDER)
    except NotInstalled as failure:
        typer.echo(f"The viewer is not installed: {failure}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{PACKAGE} is installed ({files} files). Open {PREFIX}/ on the server.")


def fetched(folder: Path) -> Path:
    """Return the package as npm fetched it into a folder; raise NotInstalled where npm cannot."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is missing. Install Node.js, or fetch the package elsewhere and name it by --package.")
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--pack-destination", str(folder), "--silent"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=folder)  # noqa: S603 -- npm as found, with words of our own
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"npm did not fetch {PACKAGE} within {SECONDS} seconds.") from None
    found = list(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        raise NotInstalled(f"npm does not fetch {PACKAGE}: {done.stderr.strip()[:300] or 'it does not say why'}")
    return found[0]


def installed(package: Path, target: Path) -> int:
    """Unpack a package in place of what was installed before; return how many files it has, once it is complete."""
    with package.open("rb") as file:
        digest = sha512(file.read()).digest()
    if f"sha512-{b64encode(digest).decode()}" != INTEGRITY:
        raise NotInstalled(f"what came is not {PACKAGE}: its SHA-512 is another one.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as made:
        files = 0
        for name, content in contents(package):
            place = Path(made) / "new" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            put(place, content)
            files += 1
        put(Path(made) / "new" / "app-config.js", CONFIGURATION.read_bytes())
        if target.exists():
            target.rename(Path(made) / "old")
        (Path(made) / "new").rename(target)
    return files + 1


def contents(package: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the files of the site in a package, set up for where they are served."""
    with tarfile.open(package) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if not member.isfile() or not path.is_relative_to(BUILT) or ".." in path.parts:
                continue
            name = path.relative_to(BUILT)
            file = archive.extractfile(member)
            if name.parts[0] in LEFT_OUT or file is None or member.size > LARGEST_FILE:
                continue
            content = file.read()
            if str(name) == INDEX:
                content = first_page(content.decode()).encode()
            for root, moved in MOVED.items() if name.suffix in (".js", ".css") else ():
                content = content.replace(root, moved)
            yield name, content


def first_page(text: str) -> str:
    """Return the first page for a site below the prefix, without what would ask other sites for programs."""
    page = text.replace(SERVICE_WORKER, "")
    page = page.replace('href="/', f'href="{PREFIX}/').replace('src="/', f'src="{PREFIX}/')
    page = page.replace('content="/assets', f'content="{PREFIX}/assets')
    page = page.replace('window.PUBLIC_URL="/"', f'window.PUBLIC_URL="{PREFIX}/"')
    return page.replace("<head>", f'<head><base href="{PREFIX}/">', 1)


def put(path: Path, content: bytes) -> None:
    """Write a file, and beside it what is sent to browsers that unpack it."""
    path.write_bytes(content)
    if path.suffix in PACKED_SUFFIXES and len(content) > 1_000:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, 6, mtime=0))
