"""Processes of a plane, in an environment that would lead them astray: what they read, show and leave behind."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from hybridproxy.simulator.server import RunningSimulators
from tests.hybridproxy.transport.certificates import Authority
from tests.support.raw_server import Peer, RawServer
from tests.support.serving import server
from tests.support.small_vllm import serves
from tests.support.stack import BANK, ENVIRON, SHOP

THIRD = ("DASHSCOPE", "TOGETHER", "OPENROUTER")
CORE = 64 * 1024 * 1024


async def listens(peer: Peer) -> None:
    """A script: take what comes, and answer nothing."""
    await peer.gone()


async def test_a_sovereign_process_needs_no_key_of_a_third_party(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """It starts, serves and reloads without them; its command line says nothing but where its file is."""
    async with server(file, "--plane", "sovereign", without=THIRD) as proxy:
        await proxy.ready(http)
        for round_ in (1, 2):
            async with proxy.call(http, BANK) as response:
                assert (response.status, response.headers["x-hybridproxy-backend"]) == (200, "vpc")
            async with proxy.call(http, SHOP) as response:
                assert response.status == 421
            if round_ == 1:
                proxy.signal(signal.SIGHUP)
                await proxy.logged("config.reloaded")
        command = Path(f"/proc/{proxy.process.pid}/cmdline").read_bytes()
        assert not any(secret.encode() in command for secret in (*ENVIRON.values(), SHOP, BANK))
        assert proxy.errors == ""
    assert all(simulators[name].upstream.accepted == 0 for name in ("dashscope", "together", "openrouter"))


async def test_a_general_process_needs_no_key_of_the_vpc(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """The other way round; and with everything to serve, every key is needed."""
    async with server(file, "--plane", "general", without=("VLLM",)) as proxy:
        await proxy.ready(http)
        async with proxy.call(http, SHOP) as response:
            assert response.status == 200
        async with proxy.call(http, BANK) as response:
            assert response.status == 421
    assert simulators["vllm"].upstream.accepted == 0
    async with server(file, without=("VLLM",)) as proxy:
        assert await proxy.ended() == 1
        assert "VLLM" in proxy.errors


def may_dump() -> None:
    """Let a process leave a core file, as far as its own limit goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (CORE if hard == resource.RLIM_INFINITY else min(hard, CORE), hard))


def cores(folder: Path) -> list[str]:
    """Return what looks like a core file."""
    return [path.name for path in folder.iterdir() if "core" in path.name]


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV])
async def test_a_process_that_is_killed_leaves_no_core_file(
    number: signal.Signals, file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """Though it was started where one is left: its memory holds prompts and keys."""
    async with server(file, first=may_dump) as proxy:
        await proxy.ready(http)
        async with proxy.call(http, BANK) as response:
            assert response.status == 200
        limits = Path(f"/proc/{proxy.process.pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
        proxy.signal(number)
        assert await proxy.ended() == -number
    assert cores(file.parent) == []


async def test_a_process_that_is_not_silent_would_leave_one(tmp_path: Path) -> None:
    """Or the test above would prove nothing; where core files go elsewhere, it is the limit that it proves."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    here = not pattern.startswith(("|", "/")) and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import os; os.abort()", cwd=tmp_path, preexec_fn=may_dump,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == -signal.SIGABRT
    assert bool(cores(tmp_path)) is here


@contextlib.contextmanager
def poisoned(folder: Path, port: int, ca: str) -> Iterator[dict[str, str]]:
    """An environment that sends every client library astray: through a proxy, to other authorities, into a key log."""
    proxy = f"http://127.0.0.1:{port}"
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (folder / "hosts").write_text("127.0.0.1 vllm.internal\n")
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    yield {
        **dict.fromkeys(names, proxy),
        "NO_PROXY": "", "no_proxy": "",
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), ca),
        "SSL_CERT_DIR": str(Path(ca).parent),
        "SSLKEYLOGFILE": str(folder / "keys.log"),
        "HOSTALIASES": str(folder / "hosts"),
        "RESOLV_HOST_CONF": str(folder / "hosts"),
        "LOCALDOMAIN": "example.com", "RES_OPTIONS": "attempts:1",
        "PYTHONHTTPSVERIFY": "0",
    }  # fmt: skip


async def test_no_variable_of_the_environment_leads_a_sovereign_call_astray(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession, authority: Authority, tmp_path: Path
) -> None:
    """Proxies, authorities, key logs, aliases: the call goes to its VPC, by the pinned authority, or nowhere."""
    async with RawServer(serves, authority.server("vllm.internal")) as real, RawServer(listens) as elsewhere:
        plain = f'endpoints: ["{simulators["vllm"].url}"]'
        text = file.read_text()
        assert plain in text
        for tls, status in (
            (f'tls: {{ca: "{authority.ca}", name: vllm.internal}}', 200),
            ("tls: {name: vllm.internal}", 503),  # the system's roots, and not those that the environment names
        ):
            file.write_text(text.replace(plain, f'endpoints: ["https://127.0.0.1:{real.port}"], {tls}'))
            with poisoned(tmp_path, elsewhere.port, authority.ca) as environ:
                async with server(file, "--plane", "sovereign", without=THIRD, environ=environ) as proxy:
                    await proxy.ready(http)
                    async with proxy.call(http, BANK) as response:
                        assert response.status == status, await response.text()
                    assert proxy.errors == ""
        assert elsewhere.peers == []
        assert not (tmp_path / "keys.log").exists()
        assert os.environ.get("SSLKEYLOGFILE") is None
    assert all(simulators[name].upstream.accepted == 0 for name in ("dashscope", "together", "openrouter", "vllm"))
