"""Upstreams in a world of namespaces, as processes that fail in every way."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from tests.acceptance.processes import DROPPED, ROOT
from tests.support.namespace import World
from tests.support.upstreams import PORT

KINDS: Final = ("refused", "error", "silent", "redirect", "killed")
"""How an upstream fails: nobody on its port, 500, stopped (SIGSTOP), 307 to a public host, killed (SIGKILL)."""


class Far:
    """A simulated upstream or a resolver at an address of the VPC or of the internet."""

    def __init__(self, world: World, folder: Path, place: str, kind: str, host: str, names: Any = None) -> None:
        self._command = world.at(place, "setpriv", "--pdeathsig", "KILL", sys.executable)
        self._command += ["-m", "tests.support.upstreams", kind, host, json.dumps(names or {})]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
        self._environment = kept | {"PYTHONPATH": str(ROOT)}
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._connections = 0  # of its processes before this one
        self.way = ""

    async def start(self) -> None:
        """Start it, and wait until it is there."""
        with (self._folder / "upstreams.err").open("ab") as err:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=self._folder, env=self._environment,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=err,
            )  # fmt: skip
        assert await self._line() == b"ready\n", (self._folder / "upstreams.err").read_text()

    async def become(self, way: str, elsewhere: str) -> None:
        """Fail in a way, or be well (""); redirects lead elsewhere."""
        if way == self.way:
            return
        assert self._process is not None
        if self.way == "killed":
            await self.start()
        elif self.way == "silent":
            self._process.send_signal(signal.SIGCONT)
        elif self.way in {"error", "redirect"}:
            await self._told(behave={})
        elif self.way == "refused":
            await self._told(listen=True)
        if way == "killed":
            self._connections = await self.counted()
            await self.stop()
        elif way == "silent":
            self._process.send_signal(signal.SIGSTOP)
        elif way == "error":
            await self._told(behave={"fault": {"kind": "status", "status": 500}})
        elif way == "redirect":
            location = f"http://{elsewhere}:{PORT}/v1/chat/completions"
            await self._told(behave={"fault": {"kind": "redirect", "location": location, "status": 307}})
        elif way == "refused":
            await self._told(listen=False)
        self.way = way

    async def counted(self) -> int:
        """Return how many connections were made to it, by all of its processes."""
        return self._connections if self.way == "killed" else self._connections + (await self._told())["connections"]

    async def stop(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _told(self, **order: Any) -> dict[str, int]:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(order) + b"\n")
        answer: dict[str, int] = orjson.loads(await self._line())
        return answer

    async def _line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        return await asyncio.wait_for(self._process.stdout.readline(), 20)
