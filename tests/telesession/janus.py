"""Janus processes for a test, as Debian has them, on an address of this machine that is not the loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import ifaddr
import pytest

PROGRAM = "/usr/bin/janus"
SECRET = "signs tokens"
ADMIN_KEY = "makes rooms"
PLUGINS = next(iter(Path("/usr/lib").glob("*/janus/plugins")), None)

MAIN = """
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{library}/plugins"
  transports_folder = "{library}/transports"
  events_folder = "{library}/events"
  loggers_folder = "{library}/loggers"
  debug_level = 3
  token_auth_secret = "{secret}"
  token_auth = true
  interface = "{address}"
}}
media: {{ no_media_timer = 1 rtp_port_range = "{ports}" }}
nat: {{ ice_lite = true ice_enforce_list = "{address}" full_trickle = false nice_debug = false }}
plugins: {{ disable = "libjanus_audiobridge.so,libjanus_echotest.so,libjanus_recordplay.so,libjanus_sip.so,\
libjanus_nosip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so,\
libjanus_lua.so,libjanus_duktape.so" }}
transports: {{ disable = "libjanus_websockets.so,libjanus_rabbitmq.so,libjanus_pfunix.so,libjanus_mqtt.so,\
libjanus_nanomsg.so" }}
events: {{ broadcast = false }}
"""
HTTP = 'general: {{ json = "compact" base_path = "/janus" http = true port = {port} ip = "127.0.0.1" https = false }}\n'
ROOMS = 'general: {{ admin_key = "{key}" }}\n'


def own_address() -> str | None:
    """An address of this machine that Janus may use."""
    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    return next((each for each in found if not each.startswith(("127.", "169.254."))), None)


@dataclass
class RunningJanus:
    """A process of Janus."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it at once, as a fault would."""
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_janus(folder: Path) -> Iterator[RunningJanus]:
    """A Janus with its configuration in a folder, ready to answer."""
    address = own_address()
    if not Path(PROGRAM).exists() or PLUGINS is None or address is None:
        pytest.skip("needs Janus (Debian: janus) and an address beside the loopback")
    port = free_port()
    first = 20_000 + port % 20_000
    values = {
        "folder": folder, "library": PLUGINS.parent, "secret": SECRET, "address": address,
        "ports": f"{first}-{first + 999}", "port": port, "key": ADMIN_KEY,
    }  # fmt: skip
    for name, text in (
        ("janus.jcfg", MAIN),
        ("janus.transport.http.jcfg", HTTP),
        ("janus.plugin.videoroom.jcfg", ROOMS),
    ):
        (folder / name).write_text(text.format(**values))
    with (folder / "janus.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "-F", str(folder), "-C", str(folder / "janus.jcfg")], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}/janus"
            _wait_for(url, process, folder)
            yield RunningJanus(url, process)
        finally:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/info", timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    pytest.fail(f"Janus did not start: {(folder / 'janus.log').read_text()[-2000:]}")
