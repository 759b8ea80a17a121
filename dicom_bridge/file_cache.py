"""Copies of files by their SHA-256 in a folder that stays below a size: those that nobody read for longest go."""

from __future__ import annotations

from pathlib import Path

from dicom_bridge.frame import inflated

SHARE_BETWEEN_SWEEPS = 20
ROOM_MADE = 0.9


class FileCache:
    """The files; several processes may share the folder. What is open while it goes can still be read."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._unswept = most_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where a file is, or would be."""
        return self._folder / sha256[:2] / f"{sha256}.dcm"

    def keep(self, source: Path, sha256: str) -> None:
        """Take a file over, with what it inflates to; make room where that is needed."""
        target = self.path(sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        for origin, place in ((inflated(source), inflated(target)), (source, target)):
            if origin.exists():
                self._unswept += origin.stat().st_size
                origin.replace(place)
        if self._unswept > self._most_bytes // SHARE_BETWEEN_SWEEPS:
            self._unswept = 0
            self._sweep(target)

    def _sweep(self, newest: Path) -> None:
        """Make room. When a file was read last is what the file system knows, a day inexact on most."""
        known = [(file, file.stat()) for file in self._folder.glob("*/*")]
        size = sum(status.st_size for _, status in known)
        if size <= self._most_bytes:
            return
        for file, status in sorted(known, key=lambda each: max(each[1].st_atime, each[1].st_mtime)):
            if size <= self._most_bytes * ROOM_MADE:
                break
            if file.name.startswith(newest.name):
                continue
            file.unlink(missing_ok=True)
            size -= status.st_size
