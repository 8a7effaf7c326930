"""The parts of an installation as processes of their own: upstreams, replicas of the proxy, all ended by their id.

What is measured is outside the proxy: `Upstream` asks a simulated upstream's journal and ledger, `Replica` reads the
log and the metrics that an operator would read.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import aiohttp
import orjson

from hybridproxy.simulator.books import Line
from tests.support.places import Place

ROOT = Path(__file__).resolve().parents[2]
ADMIN_TOKEN = "admin-token-of-acceptance"
GUARD = 120.0
"""Seconds until what has to happen is given up: where many processes start on a slow machine, importing takes long,
and nothing is found by waiting for less."""

TICKS = os.sysconf("SC_CLK_TCK")
DROPPED = ("HYBRIDPROXY", "AIOHTTP", "COV_CORE", "COVERAGE")
"""Beginnings of variables that a process does not get: what is measured would be slow."""


async def until(condition: Callable[[], object], what: str, seconds: float = GUARD) -> None:
    """Wait for something that another process brings about."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.01)


class Program:
    """One process; `out` takes its stdout, `err` its stderr."""

    def __init__(self, folder: Path, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        self._arguments = arguments
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(DROPPED)
        } | environment | {"PYTHONPATH": str(ROOT)}  # fmt: skip
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.paused = False

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; it ends with whoever started it."""
        assert not self.running
        command = [sys.executable, *self._arguments]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=self._folder, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
                stdout=out, stderr=err,
            )  # fmt: skip

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)
        self.paused = False

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self.paused = False

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help."""
        if self._process is not None and self._process.returncode is None:
            if self.paused:
                self.resume()
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 30)
        await self.kill()

    def cpu(self) -> float:
        """Return the seconds of CPU it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def failure(self) -> str:
        """Return what it said when it ended, for people."""
        return f"{self.name} ended:\n{self.err.read_text()[-2000:]}{self.out.read_text()[-2000:]}"


class Upstream(Program):
    """One simulated upstream."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, name: str, provider: str) -> None:
        self.place = Place()
        self.provider = provider
        self._seen: dict[int, dict[str, Any]] = {}
        self.url = f"http://127.0.0.1:{self.place.port}"
        self._http = http
        spec = f"{name}={provider}:{self.place.port}"
        super().__init__(folder, f"upstream-{name}", ["-m", "hybridproxy.simulator", spec], {})

    @property
    def base_url(self) -> str:
        """The address for a configuration."""
        return self.url + {"dashscope": "/compatible-mode/v1", "openrouter": "/api/v1"}.get(self.provider, "/v1")

    async def start(self) -> None:
        """Start it; its journal begins anew."""
        self._seen.clear()
        await super().start()

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(GUARD):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    await self.state()
                    return
                assert self.running, self.failure()
                await asyncio.sleep(0.01)

    async def behave(self, **settings: Any) -> None:
        """Replace its settings."""
        async with self._http.put(f"{self.url}/_sim/behaviour", json=settings) as response:
            assert response.status == 200, await response.text()

    async def state(self) -> dict[str, Any]:
        """Return its state."""
        async with self._http.get(f"{self.url}/_sim/state") as response:
            return cast("dict[str, Any]", await response.json(content_type=None))

    async def total(self) -> int:
        """Return how many requests it got since it was started."""
        return int((await self.state())["totals"]["requests"])

    async def requests(self) -> list[dict[str, Any]]:
        """Return its requests, oldest first; of more than 1000 between two times of asking the last ones."""
        async with self._http.get(f"{self.url}/_sim/requests") as response:
            for entry in orjson.loads(await response.read())["requests"]:
                self._seen[entry["number"]] = entry | {"body": None}
        return [self._seen[number] for number in sorted(self._seen)]

    async def books(self) -> list[Line]:
        """Return a line for each model call that it got and that is over."""
        async with self._http.get(f"{self.url}/_sim/books") as response:
            said = orjson.loads(await response.read())
        assert said["written"] == len(said["rows"]), "the oldest lines are gone"
        return [Line(*row) for row in said["rows"]]

    async def forget(self) -> None:
        """Let it forget all requests and totals."""
        self._seen.clear()
        async with self._http.delete(f"{self.url}/_sim/requests") as response:
            assert response.status == 200

    async def stop(self) -> None:
        """End it for good."""
        await super().stop()
        self.place.close()


class Replica(Program):
    """One `hybridproxy serve`."""

    def __init__(
        self, folder: Path, http: aiohttp.ClientSession, name: str, config: dict[str, Any], secrets: dict[str, str]
    ) -> None:
        self.places = Place(), Place()
        port, admin = (place.port for place in self.places)
        self.url, self.admin_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}"
        self._http = http
        self._read = 0
        self.lines: list[dict[str, Any]] = []  # of the log, without those of calls
        self.records: list[dict[str, Any]] = []  # those of calls
        self.bytes_logged = 0
        self.longest_line = 0
        self.broken_lines: list[bytes] = []
        own = {
            "listen": {
                "host": "127.0.0.1",
                "port": port,
                "trusted_proxies": ["127.0.0.0/8"],
                "drain_timeout": "2s",
                "shed_lag": "10s",  # a machine that is busy with other tests is no finding of this one
            },
            "admin": {"host": "127.0.0.1", "port": admin, "token": "${ADMIN_TOKEN}"},
        }
        file = folder / f"{name}.yaml"
        config = config | {"listen": own["listen"] | config.get("listen", {})}
        file.write_text(orjson.dumps(own | config).decode())
        arguments = ["-m", "hybridproxy", "serve", "--config", str(file)]
        super().__init__(folder, name, arguments, {"ADMIN_TOKEN": ADMIN_TOKEN, **secrets})

    async def ready(self) -> None:
        """Wait until the load balancer would send traffic, and until operators are answered, which may come later."""
        async with asyncio.timeout(GUARD):
            while await self.readyz() != 200 or not await self._administered():
                assert self.running, self.failure()
                await asyncio.sleep(0.02)

    async def readyz(self) -> int:
        """Return what /readyz answers, 0 where it cannot be reached."""
        try:
            async with self._http.get(f"{self.url}/readyz") as response:
                return response.status
        except aiohttp.ClientError:
            return 0

    async def _administered(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            await self.admin("GET", "/admin/v1/state")
            return True
        return False

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Ask the admin port."""
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        async with self._http.request(method, self.admin_url + path, headers=headers, json=body) as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async def metrics(self) -> dict[str, float]:
        """Return the metrics: name with its labels, and value."""
        text = (await self.admin("GET", "/metrics")).decode()
        rows = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def read(self) -> None:
        """Read what is new in the log."""
        with self.out.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        if not whole:
            return
        self._read += len(whole) + 1
        self.bytes_logged += len(whole) + 1
        for line in whole.split(b"\n"):
            self.longest_line = max(self.longest_line, len(line))
            try:
                said = orjson.loads(line)
                (self.records if said["event"] == "call.finished" else self.lines).append(said)
            except (orjson.JSONDecodeError, KeyError, TypeError):
                self.broken_lines.append(line)

    def events(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the log's lines of one event, or of all whose name begins so, with these fields."""
        self.read()
        named = [line for line in self.lines if line["event"] == name or line["event"].startswith(f"{name}.")]
        return [line for line in named if all(line.get(key) == value for key, value in fields.items())]

    async def logged(self, name: str, seconds: float = GUARD, *, since: float = 0.0, **fields: Any) -> dict[str, Any]:
        """Wait until the log has one of them that is not older than `since`, and return the first."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.events(name, **fields) if line["time"] >= since - 0.002]

        await until(found, f"{name} in the log of {self.name}", seconds)
        return found()[0]

    def ids(self) -> Counter[str]:
        """Return how often each call has a record."""
        self.read()
        return Counter(str(record["id"]) for record in self.records)

    async def stop(self) -> None:
        """End it for good."""
        await super().stop()
        for place in self.places:
            place.close()
