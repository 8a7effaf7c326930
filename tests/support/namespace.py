"""A little world of network namespaces: the proxy's machine, its VPC, and the internet, joined by cables of their own.

    result = await inside("tests.acceptance.sovereign:witnessed", folder, engines=2)

runs that function in a process of its own. Around it are new namespaces of users, mounts and networks, so nothing of
the machine is touched and no privilege is needed beyond what `unshare` gives. Its interfaces are `vpc0` towards the
VPC (10.20.0.0/24) and `wan0` towards everything else, by the default route: a packet to any address in the world
really leaves there. What is at the far ends are namespaces too, in which `World.at` starts programs.
"""

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import uvloop

from tests.conftest import NOT_ALLOWED

ROOT: Final = Path(__file__).resolve().parents[2]
TOOLS: Final = ("unshare", "nsenter", "setpriv", "ip", "mount")

VPC: Final = "10.20.0.0/24"
ENGINES: Final = tuple(f"10.20.0.{n}" for n in range(11, 19))
PUBLIC: Final = (*(f"203.0.113.{n}" for n in range(11, 19)), *(f"198.51.100.{n}" for n in range(11, 19)))
RESOLVER: Final = "203.0.113.53"
OURS: Final = ("127.0.0.0/8", "::1/128", VPC)
"""What a sovereign call may touch; the callers are on the machine itself."""

_NEAR, _FAR = "02:00:00:00:00:01", "02:00:00:00:00:02"


@cache
def unshared() -> tuple[tuple[str, ...], str]:
    """Return the command that makes namespaces here; where nothing does, none and the reason."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_path()) is None]
    if missing:
        return (), f"{', '.join(missing)} not installed"  # which no run has to put up with
    sniff = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))"
    why = ""
    for user in (("--user", "--map-root-user"), ()):
        command = ("unshare", *user, "--net", "--mount")
        steps = "ip link set lo up && ip link add a0 type veth peer name a1"
        steps += " && mount --bind /etc/resolv.conf /etc/resolv.conf && unshare --net true"
        steps += ' && exec "$0" -c "$1"'
        whole = [*command, "sh", "-c", steps, sys.executable, sniff]
        done = subprocess.run(whole, capture_output=True, text=True, env=_env(), check=False)
        if done.returncode == 0:
            return command, ""
        why = why or done.stderr.strip().rpartition("\n")[2]
    return (), f"{NOT_ALLOWED}no namespaces with AF_PACKET here: {why}"


def forbidden() -> str:
    """Return why a test of namespaces is skipped here, "" where it is not."""
    return unshared()[1]


def speaks_ipv6() -> bool:
    """Return whether the namespace that this process is in has IPv6."""
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    return switch.exists() and switch.read_text().strip() == "0"


async def inside(function: str, folder: Path, seconds: float = 240.0, **given: Any) -> Any:
    """Run `module:function` in a world of its own and return what it returns, as JSON can hold it.

    Raises:
        AssertionError: it raised; with its traceback.

    """
    command, why = unshared()
    assert command, why
    folder.mkdir(exist_ok=True)
    result = folder / "result.json"
    process = await asyncio.create_subprocess_exec(
        *command, "setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.support.namespace",
        function, str(folder), json.dumps(given),
        cwd=ROOT, env=_env(), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, said.decode(errors="replace")[-6000:]
    return json.loads(result.read_text())


class World:
    """The namespaces, seen from the proxy's machine."""

    def __init__(self) -> None:
        self._far: dict[str, subprocess.Popen[bytes]] = {}

    def build(self, folder: Path) -> None:
        """Lay the cables, and make the resolver one that stands in the internet."""
        _run("ip", "link", "set", "lo", "up")
        self._cable("vpc", "vpc0", ["10.20.0.1/24"], [f"{engine}/24" for engine in ENGINES])
        outside = ["192.0.2.254/24", *(f"{address}/32" for address in (*PUBLIC, RESOLVER))]
        self._cable("internet", "wan0", ["192.0.2.1/24"], outside)
        _run("ip", "route", "add", "default", "via", "192.0.2.254", "dev", "wan0")
        # Known from the start, so that no ARP of the kernel's own looks like somebody's attempt.
        _run("ip", "neigh", "replace", "192.0.2.254", "lladdr", _FAR, "dev", "wan0", "nud", "permanent")
        _run(*self.at("internet", "ip", "neigh", "replace", "192.0.2.1", "lladdr", _NEAR, "dev", "far0"))
        if speaks_ipv6():
            _run("ip", "-6", "addr", "add", "2001:db8:1::1/64", "dev", "wan0", "nodad")
            _run(*self.at("internet", "ip", "-6", "addr", "add", "2001:db8:1::fe/64", "dev", "far0", "nodad"))
            _run("ip", "-6", "route", "add", "default", "via", "2001:db8:1::fe", "dev", "wan0")
        resolver = folder / "resolv.conf"
        resolver.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n")
        _run("mount", "--bind", str(resolver), "/etc/resolv.conf")

    def at(self, place: str, *command: str) -> list[str]:
        """Return a command that runs another one in the `vpc` or the `internet`."""
        return ["nsenter", f"--net=/proc/{self._far[place].pid}/ns/net", "--", *command]

    def close(self) -> None:
        """Let go of the far ends."""
        for holder in self._far.values():
            holder.kill()
            holder.wait()
            if holder.stdin is not None and holder.stdout is not None:
                holder.stdin.close()
                holder.stdout.close()

    def _cable(self, place: str, interface: str, near: Sequence[str], far: Sequence[str]) -> None:
        """Make a namespace that lasts as long as its holder, and a cable to it."""
        command = ["unshare", "--net", "setpriv", "--pdeathsig", "KILL", "sh", "-c", "echo there; exec cat"]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_env())
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"there\n"
        self._far[place] = holder
        _run(
            "ip", "link", "add", interface, "address", _NEAR, "type", "veth",
            "peer", "name", "far0", "address", _FAR, "netns", str(holder.pid),
        )  # fmt: skip
        for prefix, device, addresses in (([], interface, near), (self.at(place), "far0", far)):
            _run(*prefix, "ip", "link", "set", "lo", "up")
            _run(*prefix, "ip", "link", "set", device, "addrgenmode", "none")  # it would solicit routers by itself
            for address in addresses:
                _run(*prefix, "ip", "addr", "add", address, "dev", device)
            _run(*prefix, "ip", "link", "set", device, "up")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=_env(), check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # where a user's shell does not look


def _env() -> dict[str, str]:
    return {**os.environ, "PATH": _path(), "PYTHONPATH": str(ROOT)}


async def _story(function: str, folder: Path, given: dict[str, Any]) -> Any:
    module, _, name = function.partition(":")
    world = World()
    try:
        world.build(folder)
        return await getattr(importlib.import_module(module), name)(world, folder, **given)
    finally:
        world.close()


def main(function: str, folder: str, given: str) -> int:
    """Run a function in the namespaces that this process is in already."""
    try:
        result = uvloop.run(_story(function, Path(folder), json.loads(given)))
    except BaseException:  # noqa: BLE001 - whoever waits outside has to hear of it
        traceback.print_exc()
        return 1
    (Path(folder) / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
