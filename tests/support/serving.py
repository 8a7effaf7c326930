"""`hybridproxy serve` as a process of its own, with its log, ended by its own id whatever a test does."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson

from tests.support.stack import ENVIRON, SHOP, TORONTO, chat

ROOT = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    """Return the secrets the file names, and nothing else that hybridproxy reads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HYBRIDPROXY", "AIOHTTP"))}
    return kept | ENVIRON | {"PYTHONPATH": str(ROOT)} | more


class Server:
    """One `hybridproxy serve`, ended by its own id whatever the test does."""

    def __init__(self, file: Path, port: int, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.file = file
        self.port = port
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._out, self._err = folder / "out.jsonl", folder / "err.txt"

    @property
    def errors(self) -> str:
        """Everything on stderr."""
        return self._err.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log on stdout; the last line may be half written."""
        return [orjson.loads(line) for line in self._out.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of one name."""
        return [line for line in self.lines() if line["event"] == name]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def logged(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the log has so many events of one name."""
        await until(lambda: len(self.events(name)) >= count)
        return self.events(name)

    async def ended(self, seconds: float = 60.0) -> int:
        """Wait for the end and return the exit status."""
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until the load balancer would send traffic."""
        async with asyncio.timeout(60):
            while True:
                try:
                    async with http.get(self.url + "/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                assert self.process.returncode is None, self.errors
                await asyncio.sleep(0.01)

    def call(self, http: aiohttp.ClientSession, key: str = SHOP, **body: Any) -> Any:
        """Call a model from Toronto."""
        headers = {"authorization": f"Bearer {key}", "x-forwarded-for": TORONTO}
        return http.post(self.url + "/v1/chat/completions", headers=headers, json=chat(**body))


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something that another process brings about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def port_of(file: Path, section: str = "listen") -> int:
    """Return the port that a section of a file names."""
    found = re.search(rf"^{section}:.*?port: (\d+)", file.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return int(found[1])


@asynccontextmanager
async def server(
    file: Path,
    *arguments: str,
    out: int | None = None,
    first: Callable[[], None] | None = None,
    without: tuple[str, ...] = (),
    environ: Mapping[str, str] = MappingProxyType({}),
    **env: str,
) -> AsyncIterator[Server]:
    """Run `python -m hybridproxy serve --config FILE`; stdout and stderr go to files beside it, or stdout to `out`.

    Args:
        file: the configuration.
        arguments: more of the command's.
        out: where stdout goes.
        first: what the new process does before it becomes the server.
        without: variables that it does not have.
        environ: variables that it has besides.
        env: more of them.

    """
    variables = environment(**env) | dict(environ)
    variables = {name: value for name, value in variables.items() if name not in without}
    with (file.parent / "out.jsonl").open("ab") as stdout, (file.parent / "err.txt").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hybridproxy", "serve", "--config", str(file), *arguments,
            cwd=file.parent, env=variables, preexec_fn=first, stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout if out is None else out, stderr=stderr,
        )  # fmt: skip
    try:
        yield Server(file, port_of(file), process, file.parent)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
