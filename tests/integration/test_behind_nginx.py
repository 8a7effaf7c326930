"""Behind nginx as operators run it: whose word about the client counts, and that streams are the same."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.support.patience import LONG
from tests.support.raw_server import CHUNKED, Peer, RawServer, chunk
from tests.support.raw_upstream import delta, scripted
from tests.support.stack import SHOP, Stack, chat

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: sh scripts/test-tools")

NGINX_ADDRESS, IN_SINGAPORE, IN_TORONTO = "127.0.0.2", "127.0.0.5", "127.0.0.6"
"""Loopback addresses that stand for the load balancer and for callers; the configuration says where callers are."""

BEIJING = "114.114.114.114"

CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {url};
      proxy_bind {nginx};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffering off;
      proxy_read_timeout 60s;
    }}
  }}
}}
"""


@pytest.fixture
async def nginx(stack: Stack, tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[str]:
    """An nginx before the proxy; only its address is trusted. Returns the URL."""
    assert NGINX is not None
    file = stack.worker.path
    overrides = f"geo: {{overrides: {{{IN_SINGAPORE}/32: SG, {IN_TORONTO}/32: CA}}}}\n"
    file.write_text(file.read_text().replace("proxies: [127.0.0.0/8]", f"proxies: [{NGINX_ADDRESS}/32]") + overrides)
    assert await stack.worker.reload() == []
    conf = tmp_path / "nginx.conf"
    conf.write_text(CONF.format(folder=tmp_path, port=unused_tcp_port, url=stack.url, nginx=NGINX_ADDRESS))
    process = await asyncio.create_subprocess_exec(NGINX, "-p", str(tmp_path), "-c", str(conf))
    url = f"http://127.0.0.1:{unused_tcp_port}"
    try:
        async with asyncio.timeout(LONG):
            while True:
                assert process.returncode is None, (tmp_path / "nginx.log").read_text()
                try:
                    async with stack.http.get(url + "/readyz") as response:
                        assert response.status == 200
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.01)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def caller(address: str) -> aiohttp.ClientSession:
    """A client at an address."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(address, 0)))


def call(http: aiohttp.ClientSession, url: str, headers: Any = (), **body: Any) -> Any:
    """Call a model."""
    mine = [("authorization", f"Bearer {SHOP}"), ("x-hybridproxy-explain", "1"), *headers]
    return http.post(url + "/v1/chat/completions", headers=mine, json=chat(**body))


async def collect(response: aiohttp.ClientResponse, parts: list[bytes]) -> None:
    """Read to the end, keeping what came before a break."""
    while part := await response.content.readany():
        parts.append(part)


FORGED = [
    [],
    [("x-forwarded-for", BEIJING)],
    [("x-forwarded-for", f"{BEIJING}, {BEIJING}")],
    [("x-forwarded-for", BEIJING), ("x-forwarded-for", BEIJING)],
    [("x-forwarded-for", f"{BEIJING}, {NGINX_ADDRESS}")],
    [("x-forwarded-for", f'"{BEIJING},')],
    [("x-forwarded-for", ",,,")],
    [("x-forwarded-for", ", ".join([BEIJING] * 400))],
    [("forwarded", f"for={BEIJING}")],
    [("forwarded", f"for={BEIJING};by={NGINX_ADDRESS}"), ("x-real-ip", BEIJING), ("x_forwarded_for", BEIJING)],
    [("x-client-ip", BEIJING), ("true-client-ip", BEIJING), ("cf-connecting-ip", BEIJING), ("via", f"1.1 {BEIJING}")],
]


@pytest.mark.parametrize("headers", FORGED, ids=lambda h: " ".join(f"{n}={v[:24]}" for n, v in h) or "nothing")
async def test_a_forged_address_never_changes_the_region(stack: Stack, nginx: str, headers: Any) -> None:
    """The address nginx saw is the caller's, whatever the caller wrote into any header."""
    for address, country, region in ((IN_SINGAPORE, "SG", "asia"), (IN_TORONTO, "CA", "north-america")):
        async with caller(address) as http, call(http, nginx, headers) as response:
            assert response.status == 200
            assert response.headers["x-hybridproxy-region"] == region
            shown = orjson.loads(response.headers["x-hybridproxy-decision"])["caller"]
            assert (shown["country"], shown["region"]) == (country, region)


async def test_past_nginx_a_header_is_a_strangers_word(stack: Stack, nginx: str) -> None:
    """Whoever reaches the proxy without nginx is where its own address is."""
    async with caller(IN_SINGAPORE) as http, call(http, stack.url, FORGED[1]) as response:
        assert response.headers["x-hybridproxy-region"] == "asia"


async def test_callers_inside_a_trusted_network_are_taken_for_proxies(stack: Stack, nginx: str) -> None:
    """Trust the load balancers' addresses, not the network where callers are too: there anybody's word counts."""
    file = stack.worker.path
    file.write_text(file.read_text().replace(f"proxies: [{NGINX_ADDRESS}/32]", "proxies: [127.0.0.0/8]"))
    assert await stack.worker.reload() == []
    async with caller(IN_SINGAPORE) as http:
        async with call(http, nginx, FORGED[1]) as response:
            assert response.status == 403
            assert response.headers["x-hybridproxy-region"] == "china"
        async with call(http, nginx) as response:
            assert response.headers["x-hybridproxy-region"] == "asia"


async def test_a_stream_passes_event_by_event(stack: Stack, nginx: str) -> None:
    """Each is at the caller before the upstream sends the next one, and the last one ends it."""
    came = asyncio.Semaphore(0)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        for number in range(40):
            await peer.send(chunk(delta(f"piece {number}")))
            await came.acquire()
        await peer.send(chunk(delta(None, "stop")), chunk(b"data: [DONE]\n\n"), chunk(b""))
        await peer.gone()

    async with RawServer(script) as server:
        await scripted(stack, server)
        async with caller(IN_TORONTO) as http, call(http, nginx, stream=True) as response:
            assert response.status == 200
            for number in range(40):
                async with asyncio.timeout(LONG):
                    assert f'"piece {number}"'.encode() in await response.content.readuntil(b"\n\n")
                came.release()
            assert b'"stop"' in await response.content.readuntil(b"\n\n")
            assert await response.read() == b"data: [DONE]\n\n"


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_caller_that_leaves_through_nginx_stops_the_upstream(stack: Stack, nginx: str, streaming: bool) -> None:
    """The hang-up is handed on, and within two seconds nobody generates any more."""
    stack.sim("together").behave({"pace_ms": 50, "pieces": 1000} if streaming else {"latency_ms": 60_000})

    async def ask() -> None:
        async with caller(IN_TORONTO) as http, call(http, nginx, stream=streaming) as response:
            await response.read()

    task = asyncio.ensure_future(ask())
    await stack.until(lambda: stack.received("together"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stack.until(lambda: stack.received("together")[0]["outcome"] == "client_gone")
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    assert not stack.received("openrouter")


async def test_a_cut_stream_is_still_a_cut_stream_behind_nginx(stack: Stack, nginx: str) -> None:
    """What the proxy breaks off, nginx does not repair: an error event, no [DONE], no clean end of the body."""
    stack.sim("together").behave({"fault": {"kind": "cut", "after_pieces": 3}, "pace_ms": 10})
    parts: list[bytes] = []
    async with caller(IN_TORONTO) as http, call(http, nginx, stream=True) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await collect(response, parts)
    got = b"".join(parts)
    events = [event for event in got.split(b"\n\n") if event]
    assert orjson.loads(events[-1].removeprefix(b"data: "))["error"]["code"] == "upstream_cut"
    assert b"[DONE]" not in got


async def test_errors_pass_with_their_headers(stack: Stack, nginx: str) -> None:
    """Our errors stay as they are: body, status, and what tells clients not to repeat the call."""
    for name in ("together", "openrouter", "dashscope"):
        stack.sim(name).behave({"fault": {"kind": "status", "status": 503}})
    async with caller(IN_TORONTO) as http, call(http, nginx) as response:
        assert response.status == 503
        assert response.headers["x-should-retry"] == "false"
        assert (await response.json())["error"]["code"] == "upstream_overloaded"


async def test_twenty_callers_at_once_get_their_own_answers(stack: Stack, nginx: str) -> None:
    """Twenty callers at once, and again on the same connections: every answer is the caller's own."""
    async with caller(IN_TORONTO) as http:
        for _ in range(2):

            async def ask(number: int) -> None:
                message = [{"role": "user", "content": f"caller number {number} speaks"}]
                async with call(http, nginx, messages=message) as response:
                    assert f"caller number {number} speaks" in await response.text()

            await asyncio.gather(*(ask(number) for number in range(20)))
