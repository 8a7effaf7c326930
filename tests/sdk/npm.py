"""The clients of npm, in one process of Node that reads requests and writes outcomes, a line each."""

import asyncio
import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import Final

import orjson

from tests.meta.project import ROOT
from tests.sdk.outcome import QUESTION, TOOLS, Outcome, Way

FOLDER: Final = Path(__file__).with_name("node")
OLDEST: Final = 20
"""The version of Node from which on the clients work."""
NAMES: Final = ("openai", "ai")


def missing() -> str:
    """Return why they cannot be had here, "" where they can; they are installed by then."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "npm is not installed: sh scripts/test-tools"
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(told.strip().removeprefix("v").partition(".")[0]) < OLDEST:
        return f"Node {told.strip()} is older than {OLDEST}"
    with (FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes side by side would install into one folder
        done = subprocess.run(["sh", ROOT / "scripts" / "node-sdks"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"npm could not install the clients: {done.stderr.strip()[-300:]}"


class Node:
    """The process; one call at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "calls.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def call(self, client: str, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask the question with one of the clients."""
        asked = {
            "client": client,
            "url": way.url,
            "key": way.key,
            "model": way.model,
            "question": QUESTION,
            "tools": TOOLS if tools else None,
            "stream": stream,
        }
        said = orjson.loads(await asyncio.to_thread(self._ask, orjson.dumps(asked)))
        calls = [(name, arguments) for name, arguments in said.pop("calls")]
        tokens = said.pop("tokens")
        return Outcome(**said, calls=calls, tokens=tuple(tokens) if tokens else None)

    def _ask(self, line: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class NodeClient:
    """One of its clients, as the tests know clients."""

    def __init__(self, node: Node, name: str) -> None:
        self._node, self._name = node, name

    async def call(self, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask the question."""
        return await self._node.call(self._name, way, tools=tools, stream=stream)
