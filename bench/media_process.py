"""The engine within a process of its own, asked by lines of JSON: what the media benchmark measures."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from telesession.aiortc_engine.engine import AiortcEngine
from telesession.aiortc_engine.gathering import Ports
from telesession.media_engine import Happening, SoundOnly, Source

ADDRESS = "127.0.0.1"


class Answering:
    """Does what the lines ask for."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.engine = AiortcEngine(self.told.append, Ports((ADDRESS,)), most_packets=10**9, most_late=10**9)

    async def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to one line."""
        match asked["do"]:
            case "publish":
                source = Source(asked["participant"])
                made = await self.engine.publish(asked["session"], source, asked["offer"])
                return {"sdp": made.sdp, "connection": made.connection}
            case "view":
                made = await self.engine.subscribe(asked["session"], asked["participant"], asked["offer"])
                return {"sdp": made.sdp, "connection": made.connection}
            case "close":
                await self.engine.close(asked["connection"])
                return {}
            case "end":
                await self.engine.end(asked["session"])
                return {}
        return self.usage()

    def usage(self) -> dict[str, Any]:
        """CPU seconds, memory and descriptors of this process; how many viewers have lost their pictures."""
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = len(list(Path("/proc/self/fd").iterdir()))
        dark = sum(each.is_on for each in self.told if isinstance(each, SoundOnly))
        return {"cpu": time.process_time(), "bytes": resident, "files": files, "sound_only": dark}


async def main() -> None:
    """Answer lines until there are no more."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    answering = Answering()
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await answering.answer(json.loads(line))), flush=True)
    await answering.engine.stop()


if __name__ == "__main__":
    asyncio.run(main())
