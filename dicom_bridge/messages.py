"""Messages between the server and the processes of its darkroom: JSON, and bytes beside it."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

import orjson

HEAD = Struct(">I")
LARGEST_HEAD = 1_000_000


def packed(told: Mapping[str, Any], blobs: Mapping[str, bytes]) -> list[bytes]:
    """Return a message in pieces: what is told, with the lengths of what follows it, and that."""
    head = orjson.dumps({**told, "blobs": [(name, len(blob)) for name, blob in blobs.items()]})
    return [HEAD.pack(len(head)), head, *blobs.values()]
