"""S4: however an address is written, asked for or answered, a sovereign call reaches its networks or nothing."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError
from hybridproxy.model.backend import Credential, Endpoint, SovereignBackend, Timeouts
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Target
from hybridproxy.transport import resolver
from hybridproxy.transport.session import SovereignSession
from hybridproxy.transport.sweep import Sweep
from tests.support.name_server import AAAA, CNAME, A, NameServer, name_server
from tests.support.patience import LONG, until
from tests.support.raw_calls import head
from tests.support.raw_server import Peer, RawServer
from tests.support.ssrf_forms import DISGUISED, NETWORK, NEVER_MEANT, OUTSIDE, WIDE, fields, headers
from tests.support.stack import BANK, Stack, chat

THIRD = ("dashscope", "together", "openrouter")
CONFIG = """
backends: {{vpc: {{provider: vllm, trust: vpc, insecure: true, endpoints: [{url}], allow_cidrs: [{networks}]{more}}}}}
models: {{m: {{family: other, served_by: {{vpc: m}}}}}}
tenants: {{bank: {{keys: ["sha256:{digest}"], residency: vpc}}}}
"""


def written(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def test_the_table_is_long_enough() -> None:
    """120 forms, and none twice."""
    assert len({*DISGUISED, *OUTSIDE}) == len(DISGUISED) + len(OUTSIDE)
    assert len(DISGUISED) + len(OUTSIDE) + len(NEVER_MEANT) + len(fields("")) + len(headers("", "")) >= 120


@pytest.mark.parametrize("more", ["", ', resolver: ["10.0.0.2"]'], ids=["no resolver", "a resolver"])
@pytest.mark.parametrize("host", [*DISGUISED, *OUTSIDE], ids=repr)
def test_no_configuration_leads_there(tmp_path: Path, host: str, more: str) -> None:
    """A sovereign backend with such an endpoint is refused at `check`, in plain and in TLS."""
    file = tmp_path / "hybridproxy.yaml"
    for scheme in ("http", "https"):
        url = orjson.dumps(f"{scheme}://{written(host)}:8000/v1").decode()
        file.write_text(CONFIG.format(url=url, networks=NETWORK, more=more, digest="11" * 32))
        with pytest.raises(ConfigError):
            load(file, {})


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "::/0", "0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "ff00::/8", "::/128"]
)
def test_no_network_is_nobodys(tmp_path: Path, network: str) -> None:
    """Networks that are no machine's, or everybody's, are refused."""
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(
        CONFIG.format(url='"http://10.0.3.1"', networks=f'10.0.3.0/24, "{network}"', more="", digest="11" * 32)
    )
    with pytest.raises(ConfigError):
        load(file, {})


# ---- past the configuration: what the transport itself does ----


class Told:
    """A sink that waits for the end."""

    def __init__(self) -> None:
        self.fault: asyncio.Future[Fault | None] = asyncio.get_running_loop().create_future()

    def head(self, status: int, headers: Any) -> None:
        """Take a head."""

    def body(self, data: bytes) -> None:
        """Take a block."""

    def end(self) -> None:
        """Take the end."""
        self.fault.set_result(None)

    def failed(self, fault: Fault) -> None:
        """Take a fault."""
        self.fault.set_result(fault)


def target(host: str, port: int, *networks: str, names: NameServer | None = None) -> Target[SovereignBackend]:
    """A sovereign target that no configuration would have let through."""
    endpoint, key = Endpoint("http", host, port, ""), Credential("k", "")
    servers = () if names is None else (names.address,)
    backend = SovereignBackend("vpc", "vllm", "", (endpoint,), (key,), networks, resolver=servers)
    return Target(backend, endpoint, key, "m", Timeouts())


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SovereignSession]:
    """The sovereign way out; a name server that answers late on a busy machine is waited for."""
    monkeypatch.setattr(resolver, "PATIENCE", LONG)
    monkeypatch.setattr(resolver, "LONGEST", LONG)
    made = SovereignSession(Sweep())
    yield made
    await made.close()


@pytest.fixture
def nobody_resolves(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's resolver, which knows every name as this machine: whoever asks it fails the test."""
    asked: list[Any] = []

    def poisoned(host: Any, *_args: Any, **_more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, poisoned)
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", poisoned)
    yield
    assert asked == []


async def silent(peer: Peer) -> None:
    """A script: take the connection and say nothing."""
    await peer.gone()


async def refused(session: SovereignSession, to: Target[SovereignBackend]) -> Fault:
    """Check a target; it must be refused by the guard."""
    fault = await session.check(to)
    assert fault is not None
    assert fault.kind is FaultKind.EGRESS_REFUSED, fault
    assert session.opened == 0
    return fault


async def test_no_host_leads_there(session: SovereignSession, nobody_resolves: None) -> None:
    """Every form, by itself and with a name server that says this machine for everything; nothing is connected to."""
    async with RawServer(silent) as server, name_server() as names:
        for host in (*DISGUISED, *OUTSIDE):
            await refused(session, target(host, server.port, NETWORK))
            if host in DISGUISED[:31]:
                names.records = [(host, A, 9, "10.0.3.1")]
                await refused(session, target(host, server.port, NETWORK, names=names))
        for host in NEVER_MEANT:
            await refused(session, target(host, server.port, *WIDE))
        assert server.peers == []
        assert names.asked == []


async def test_no_answer_of_a_name_server_leads_there(session: SovereignSession, nobody_resolves: None) -> None:
    """Rebinding and lies: each answer is judged like a literal, also at the end of a chain of names."""
    name = "vllm.internal"
    async with RawServer(silent) as server, name_server() as names:
        for address in OUTSIDE:
            kind = A if ipaddress.ip_address(address).version == 4 else AAAA
            for records in (
                [(name, kind, 0, address)],
                [(name, CNAME, 0, "metadata.internal"), ("metadata.internal", kind, 0, address)],
            ):
                names.records = records
                fault = await refused(session, target(name, server.port, NETWORK, names=names))
                assert address not in fault.detail
        for address in NEVER_MEANT:
            kind = A if ipaddress.ip_address(address).version == 4 else AAAA
            names.records = [(name, kind, 0, address)]
            await refused(session, target(name, server.port, *WIDE, names=names))
        assert server.peers == []
        assert {asked for asked, _ in names.asked} == {name}


async def test_of_a_mixed_answer_only_what_is_inside_is_tried(session: SovereignSession, nobody_resolves: None) -> None:
    """One good address among many bad ones is the one that is connected to."""
    name = "vllm.internal"
    async with RawServer(silent) as server, name_server() as names:
        names.records = [
            *((name, A, 0, a) for a in ("8.8.8.8", "169.254.169.254", "127.0.0.1", "0.0.0.0")),
            (name, AAAA, 0, "::ffff:8.8.8.8"),
            (name, AAAA, 0, "64:ff9b::8.8.8.8"),
        ]
        assert await session.check(target(name, server.port, "127.0.0.0/30", names=names)) is None
        await until(lambda: server.peers)
        assert (session.opened, len(server.peers)) == (1, 1)


async def test_what_was_learnt_is_forgotten_with_its_time(session: SovereignSession, nobody_resolves: None) -> None:
    """Rebinding: the second answer leads away, and the second connection is refused."""
    name = "vllm.internal"
    async with RawServer(silent) as server, name_server((name, A, 0, "127.0.0.1")) as names:
        to = target(name, server.port, "127.0.0.0/30", names=names)
        assert await session.check(to) is None
        names.records = [(name, A, 0, "169.254.169.254")]
        fault = await session.check(to)
        assert fault is not None
        assert fault.kind is FaultKind.EGRESS_REFUSED
        assert session.opened == 1


# ---- what a caller may say ----


async def test_no_field_and_no_header_of_a_call_leads_there(stack: Stack) -> None:
    """The VPC or a refusal; nobody else is connected to, and no field of the kind is passed on in another's hands."""
    async with RawServer(silent) as other:
        authority = f"127.0.0.1:{other.port}"
        url = f"http://{authority}/v1"
        for more in fields(url):
            async with stack.post(key=BANK, json=chat() | more) as response:
                assert response.status in {200, 400}, more
                assert response.headers["x-hybridproxy-backend"] in {"vpc", "none"}
                await response.read()
        for extra in headers(url, authority):
            async with stack.post(key=BANK, json=chat(), headers=extra) as response:
                assert response.status == 200, extra
                assert response.headers["x-hybridproxy-backend"] == "vpc"
                await response.read()
        for line in (f"POST {url}/chat/completions HTTP/1.1", f"CONNECT {authority} HTTP/1.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
            body = orjson.dumps(chat())
            whole = head(f"content-length: {len(body)}", "connection: close", key=BANK)
            writer.write(whole.replace(b"POST /v1/chat/completions HTTP/1.1", line.encode()) + body)
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 30)
            writer.close()
        assert other.peers == []
    assert all(stack.sim(name).upstream.accepted == 0 for name in THIRD)
    for entry in stack.received("vllm"):
        sent = {name.lower(): value for name, value in entry["headers"]}
        assert sent["host"] == f"127.0.0.1:{stack.sim('vllm').port}"
        assert authority not in orjson.dumps(sent).decode()
        kept = {name for name, value in entry["body"].items() if url in orjson.dumps(value).decode()}
        assert not kept & {
            "api_base",
            "base_url",
            "fallbacks",
            "provider",
            "plugins",
            "models",
            "extra_body",
            "webhook",
        }, kept
