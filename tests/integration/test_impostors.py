"""Whoever stands where the VPC's server should: no byte of a prompt, a 503 for the caller, and somebody is told."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.transport import resolver
from tests.hybridproxy.transport.certificates import Authority
from tests.support.inside import change
from tests.support.name_server import A, name_server
from tests.support.patience import LONG
from tests.support.raw_server import Peer, RawServer, answer
from tests.support.small_vllm import serves
from tests.support.stack import BANK, SHOP, Stack, chat, running

CANARY = "canary-prompt-of-the-bank"
THIRD = ("dashscope", "together", "openrouter")


@contextlib.asynccontextmanager
async def bank_at(tmp_path: Path, server: RawServer, section: str) -> AsyncIterator[Stack]:
    """A proxy whose VPC is a server of the test's, and whose 429 teaches no rate that the next calls wait for."""
    async with running(tmp_path, vpc_limits="{rpm: 100000}") as stack:
        endpoints = f'endpoints: ["{stack.sim("vllm").url}"], allow_cidrs: [127.0.0.0/8]'
        await change(stack, (endpoints, section.replace("PORT", str(server.port))))
        yield stack


async def ask(stack: Stack, key: str = BANK, **more: Any) -> tuple[int, dict[str, str], str]:
    """Make the bank's call."""
    async with stack.post(key=key, json=chat(CANARY, **more)) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}, await response.text()


async def alerts(stack: Stack) -> list[dict[str, Any]]:
    """What whoever is on call was told."""
    return [line for line in await stack.lines() if line["event"] == "egress.refused"]


def heard(server: RawServer) -> bytes:
    """All that a server got in clear."""
    return b"".join(bytes(peer.received) for peer in server.peers)


Context = Callable[[Authority, Authority], ssl.SSLContext]
IMPOSTORS: dict[str, tuple[Context, str]] = {
    "wrong CA": (lambda _ours, other: other.server("vllm.internal"), "CA"),
    "right CA, wrong name": (lambda ours, _other: ours.server("other.internal"), "another name"),
    "expired": (lambda ours, _other: ours.server("vllm.internal", days=-1), "expired"),
    "self-signed": (lambda ours, _other: ours.self_signed("vllm.internal"), "self-signed"),
}
TLS = 'endpoints: ["https://127.0.0.1:PORT"], allow_cidrs: [127.0.0.0/8], tls: {ca: "%s", name: vllm.internal}'


@pytest.mark.parametrize("case", IMPOSTORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_impostor_gets_nothing(
    tmp_path: Path, authority: Authority, stranger: Authority, case: str, stream: bool
) -> None:
    """V10: refused in the handshake, before a byte of the call; 503 with retry-after; an alert without an address."""
    context, words = IMPOSTORS[case]
    async with (
        RawServer(serves, context(authority, stranger)) as server,
        bank_at(tmp_path, server, TLS % authority.ca) as stack,
    ):
        status, headers, text = await ask(stack, stream=stream)
        assert status == 503, text
        assert int(headers["retry-after"]) >= 1
        assert '"upstream_tls"' in text
        told = await alerts(stack)
        assert told
        assert {line["backend"] for line in told} == {"vpc"}
        assert all(words in line["reason"] and "127." not in line["reason"] for line in told)
        assert b'hybridproxy_egress_refused_total{backend="vpc"}' in stack.worker.metrics.render()
        assert all(stack.sim(name).upstream.accepted == 0 for name in (*THIRD, "vllm"))
        assert heard(server) == b""
        assert CANARY not in stack.log.read_text()


async def test_the_real_one_is_asked(tmp_path: Path, authority: Authority) -> None:
    """The same configuration, and nobody is told anything."""
    async with (
        RawServer(serves, authority.server("vllm.internal")) as server,
        bank_at(tmp_path, server, TLS % authority.ca) as stack,
    ):
        status, _, text = await ask(stack)
        assert (status, "hello" in text) == (200, True)
        assert await alerts(stack) == []


@pytest.mark.parametrize("shown", ["right", "none", "another authority's"])
async def test_a_server_that_asks_who_we_are(
    tmp_path: Path, authority: Authority, stranger: Authority, shown: str
) -> None:
    """Mutual TLS: with the right certificate a 200, without one or with somebody else's a 503."""
    section = TLS % authority.ca
    if shown != "none":
        cert, key = (authority if shown == "right" else stranger).client("hybridproxy")
        section = section.replace("}", f', cert: "{cert}", key: "{key}"}}')
    async with RawServer(serves, authority.asking("vllm.internal")) as server:
        async with bank_at(tmp_path, server, section) as stack:
            status, headers, text = await ask(stack)
            assert status == (200 if shown == "right" else 503), text
            assert ("retry-after" in headers) is (status == 503)
            assert all(stack.sim(name).upstream.accepted == 0 for name in (*THIRD, "vllm"))
        if shown != "right":
            assert heard(server) == b""


async def test_an_address_that_moved_out_of_its_networks(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V10: a name leads outside after a change of the zone: no connection, an alert; and back again, it is served."""
    monkeypatch.setattr(resolver, "PATIENCE", LONG)  # late is not silent
    monkeypatch.setattr(resolver, "LONGEST", LONG)
    async with (
        RawServer(serves, authority.server("vllm.internal")) as server,
        name_server(("vllm.internal", A, 0, "127.0.0.1")) as names,
    ):
        section = (
            f'endpoints: ["https://vllm.internal:PORT"], allow_cidrs: [127.0.0.0/30], '
            f'resolver: ["127.0.0.1:{names.port}"], tls: {{ca: "{authority.ca}"}}'
        )
        async with bank_at(tmp_path, server, section) as stack:
            stack.forgive()
            assert (await ask(stack))[0] == 200
            connections = len(server.peers)
            for address in ("127.0.0.9", "203.0.113.7", "169.254.169.254"):
                stack.worker.sovereign.retain(())
                names.records = [("vllm.internal", A, 0, address)]
                status, headers, text = await ask(stack)
                assert (status, "retry-after" in headers, '"egress_refused"' in text) == (503, True, True)
                assert address not in text
            assert len(server.peers) == connections
            told = await alerts(stack)
            assert told[0]["reason"] == "none of its addresses is inside allow_cidrs"
            names.records = [("vllm.internal", A, 0, "127.0.0.1")]
            assert (await ask(stack))[0] == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_sick_cluster_behind_tls(tmp_path: Path, authority: Authority, stream: bool) -> None:
    """V3 with real TLS: dead, slow, 429, 307 to a public host: 503 with retry-after, and no byte anywhere else."""
    answers: list[bytes] = []

    async def script(peer: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.request()
                if answers[0] == b"":
                    await peer.gone()
                    return
                await peer.send(answers[0])

    section = (TLS % authority.ca) + ", timeouts: {first_token: 200ms, answer: 200ms, between_bytes: 200ms}"
    async with (
        RawServer(script, authority.server("vllm.internal")) as server,
        bank_at(tmp_path, server, section) as stack,
    ):
        stack.forgive()
        away = stack.sim("together").base_url
        elsewhere = f"location: {away}/chat/completions".encode()
        for sick in (
            b"",
            answer(b"{}", b"retry-after: 7", status=b"429 Too Many Requests"),
            answer(b"", elsewhere, status=b"307 Temporary Redirect"),
            answer(b"", b"location: https://203.0.113.7/v1", status=b"308 Permanent Redirect"),
            answer(b"{}", status=b"503 Service Unavailable"),
        ):
            answers[:] = [sick]
            status, headers, text = await ask(stack, stream=stream)
            assert status == 503, text
            assert 1 <= int(headers["retry-after"]) <= 60
            assert set(json.loads(text)["error"]) == {"message", "type", "param", "code"}
            assert away not in text
        server.close_listening()
        for peer in list(server.peers):
            peer.transport.abort()
        await asyncio.sleep(0)
        status, headers, _ = await ask(stack, stream=stream)
        assert (status, "retry-after" in headers) == (503, True)
        assert all(stack.sim(name).upstream.accepted == 0 for name in (*THIRD, "vllm"))
        # others go on
        assert (await ask(stack, SHOP))[0] == 200
