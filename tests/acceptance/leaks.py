"""What must never be seen where many can read it: S5 and S6, as far as Redis, logs and metrics go.

Canaries stand in every secret and in everything a caller says; then every way a call can fail is gone through.
"""

import asyncio
import contextlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.acceptance.installation import KEYS, PROVIDERS, Installation, Json, digest, installed
from tests.acceptance.processes import ADMIN_TOKEN, Replica, until
from tests.acceptance.report import Report
from tests.support.redis_monitor import Monitor
from tests.support.redis_servers import RedisServer

KEY = "hp_" + "canaryofthecaller" * 2 + "123456789"
STRANGER = "hp_" + "canaryofastranger" * 2 + "123456789"
PROMPT, ANSWER = "canary-prompt-c0ffee", "canary-answer-decade"
SECRETS = {"KEY": "canaryQuietOtterBelowTheBridge", "REDIS_PASSWORD": "canary-redis-password-5eed"}
TENANT, BACKEND = "canary-tenant-acme", "canary-backend"
SAID = ("canary-header-feed", "canary-query-bead", "canary-path-dead", "canary-field-ace5", "canary-cookie-fa11")
UPSTREAM_SAYS = f"no: {SECRETS['KEY']} said {PROMPT} to {KEY}"

DEBUG = {"PYTHONASYNCIODEBUG": "1"}

IN_NO_LOG = (KEY, STRANGER, PROMPT, ANSWER, *SECRETS.values(), TENANT, ADMIN_TOKEN, *SAID)
IN_NO_REDIS = (*IN_NO_LOG, BACKEND, "127.0.0.1")
TOLD_TO_NO_CALLER = (*SECRETS.values(), ADMIN_TOKEN)

HEADERS = {
    "x-canary": "canary-header-feed",
    "cookie": "session=canary-cookie-fa11",
    "x-request-id": "canary-header-feed",
    "x-request-timeout": "canary-header-feed",
    "x-forwarded-for": "canary-header-feed, 128.100.1.1",
    "user-agent": "canary-header-feed",
    "x-hybridproxy-explain": "1",
}


def faults() -> Iterator[Json]:
    """Return every fault that an upstream knows, with words of its own that repeat what it was told."""
    for status in (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529):
        yield {"kind": "status", "status": status, "message": UPSTREAM_SAYS}
    yield {"kind": "status", "status": 500, "body": UPSTREAM_SAYS}
    yield {"kind": "status", "status": 429, "message": UPSTREAM_SAYS, "headers": {"retry-after": PROMPT}}
    yield {"kind": "status", "status": 400, "message": UPSTREAM_SAYS, "code": PROMPT, "type": PROMPT}
    yield {"kind": "in_band_error", "message": UPSTREAM_SAYS}
    yield {"kind": "in_band_error", "message": UPSTREAM_SAYS, "after_pieces": 0, "code": PROMPT, "type": PROMPT}
    yield {"kind": "redirect", "location": f"http://127.0.0.1:9/{PROMPT}"}
    yield {"kind": "early_response", "message": UPSTREAM_SAYS}
    yield {"kind": "wrong_content_type", "content_type": f"text/{PROMPT}"}
    yield {"kind": "cut", "before_head": True}
    yield {"kind": "cut", "after_pieces": 1}
    yield {"kind": "cut", "after_pieces": 1, "how": "reset"}
    yield {"kind": "stall", "before_head": True}
    yield {"kind": "stall", "after_pieces": 1}
    for how in ("event", "chunk", "bytes"):
        yield {"kind": "garbage", "how": how}
    for kind in ("truncate_json", "no_finish", "refuse", "gzip", "huge_header", "extra_bytes"):
        yield {"kind": kind, **({"body": UPSTREAM_SAYS} if kind == "extra_bytes" else {})}


def bad_requests() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Return requests that are refused: path, body, headers."""
    login = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    chat: Json = {"model": "qwen", "messages": [{"role": "user", "content": PROMPT}]}
    good = json.dumps(chat).encode()
    path = "/v1/chat/completions"
    yield path, good, login | {"authorization": f"Bearer {STRANGER}"}
    yield path, good, login | {"authorization": f"Basic {STRANGER}"}
    yield path, good, {}
    yield f"{path}?key=canary-query-bead", good, login
    yield "/v1/canary-path-dead", good, login
    yield "/v1/%63anary-path-dead/../x", good, login
    for body in (
        good[:-2], b"\xff" + good, good.replace(b'"model"', b'"Model"'), b'{"canary-field-ace5": NaN}', b"[" * 5000,
        json.dumps(chat | {"messages": PROMPT}).encode(), json.dumps(chat | {"n": PROMPT}).encode(),
        json.dumps(chat | {"stream": PROMPT}).encode(), json.dumps(chat | {"stream_options": PROMPT}).encode(),
        json.dumps(chat | {"model": "canary-field-ace5 x"}).encode(), json.dumps([PROMPT]).encode(),
        json.dumps(chat | {"api_base": PROMPT, "callback_url": PROMPT}).encode(),
    ):  # fmt: skip
        yield path, body, login


async def secrets(folder: Path, *, calm: bool, rounds: int) -> Report:
    """S5: canaries everywhere, every way to fail, and then a look at everything that others can read."""
    report = Report("S5", calm=calm)
    names = {f"{BACKEND}-{letter}": kind for letter, kind in PROVIDERS.items()}

    def change(config: Json) -> None:
        config["tenants"] = {TENANT: {"keys": [digest(KEY)], "route": "default"}}

    told: list[bytes] = []
    with RedisServer(folder, password=SECRETS["REDIS_PASSWORD"]) as redis:
        section = {"url": f"redis://:${{REDIS_PASSWORD}}@127.0.0.1:{redis.port}"}
        times = {"first_token": "200ms", "answer": "200ms", "between_bytes": "200ms"}
        async with installed(
            folder,
            calm=calm,
            replicas=2,
            redis=section,
            providers=names,
            secrets=DEBUG | SECRETS,
            change=change,
            timeouts=times,
        ) as run:
            await run.fleet(2)
            monitor = await asyncio.to_thread(Monitor, redis)
            try:
                for _ in range(rounds):
                    for fault in faults():
                        told += await _meet(run, fault)
                    for path, body, headers in bad_requests():
                        told.append(await _post(run.replicas[0], run.http, path, body, HEADERS | headers))
                await run.replicas[1].admin("POST", f"/admin/v1/backends/{BACKEND}-c/drain", {"reason": "drill"})
                await asyncio.sleep(1.2)
                seen = [part for one in await asyncio.to_thread(monitor.records) for part in one.args]
            finally:
                await asyncio.to_thread(monitor.close)
            held = await asyncio.to_thread(_held, redis)
            metrics = [(await replica.admin("GET", "/metrics")) for replica in run.replicas]
            arguments = [Path(f"/proc/{replica.pid}/cmdline").read_bytes() for replica in run.replicas]
            for replica in run.replicas:
                replica.read()
            records = [record for replica in run.replicas for record in replica.records]
        logs = [part.read_bytes() for replica in run.replicas for part in (replica.out, replica.err)]
    report.check("calls with a record", len(records), len(records) >= len(list(faults())))
    report.note("kinds of outcome", len({record["code"] for record in records}))
    report.check("commands seen by Redis, and keys in it", f"{len(seen)}, {len(held)}", bool(seen) and bool(held))
    for place, haystack, canaries in (
        ("logs", logs, IN_NO_LOG),
        ("metrics", metrics, IN_NO_LOG),
        ("arguments of the processes", arguments, IN_NO_LOG),
        ("what Redis was told", seen, IN_NO_REDIS),
        ("keys and values in Redis", held, IN_NO_REDIS),
        ("answers to callers", told, TOLD_TO_NO_CALLER),
    ):
        hits = found(haystack, canaries)
        report.check(f"canaries in {place}", ", ".join(hits) or 0, not hits)
    report.note("bytes on stderr", sum(map(len, logs[1::2])))
    return report


def found(haystack: Iterable[bytes], canaries: Iterable[str]) -> list[str]:
    """Return the canaries that are somewhere in there."""
    whole = b"\0".join(haystack)
    return [canary for canary in canaries if canary.encode() in whole]


async def _meet(run: Installation, fault: Json) -> list[bytes]:
    """Let all upstreams have a fault, and make calls that meet it: whole and streamed, at both replicas."""
    for name, upstream in run.upstreams.items():
        await upstream.behave(text=f"{ANSWER} and more of it", fault=fault)
        await run.replicas[0].admin("POST", f"/admin/v1/backends/{name}/reset", {"reason": "next"})
    login = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    calls = []
    for replica, stream in itertools.product(run.replicas, (False, True)):
        body = {"model": "qwen", "stream": stream, "messages": [{"role": "user", "content": PROMPT}], "user": PROMPT}
        data = json.dumps(body).encode()
        calls.append(_post(replica, run.http, "/v1/chat/completions", data, HEADERS | login))
    return list(await asyncio.gather(*calls))


async def _post(
    replica: Replica, http: aiohttp.ClientSession, path: str, body: bytes, headers: dict[str, str]
) -> bytes:
    """Make a call and return all that came: the head's values and the body, also of an answer that broke off."""
    parts: list[bytes] = []
    with contextlib.suppress(aiohttp.ClientError):
        async with http.post(replica.url + path, data=io.BytesIO(body), headers=headers) as response:
            parts += [value.encode("latin-1", "replace") for value in response.headers.values()]
            async for part in response.content.iter_any():
                parts.append(part)
    return b"\0".join(parts)


def _held(redis: RedisServer) -> list[bytes]:
    """Return all keys, fields and values, and how each key is stored."""
    with redis.client() as client:
        parts: list[bytes] = []
        for key in client.scan_iter():
            parts += [key, client.dump(key) or b""]
            for pair in client.hgetall(key).items():
                parts += pair
    return parts


# ---- what would like to be a line of the log -------------------------------------------------------------------------

NASTY = (
    'x\r\n{"event": "forged"}\r\n',
    "\x1b[2J\x1b[31mred\x1b[0m",
    '"}, {"event": "forged", "x": "',
    "\u2028\u2029\u0085\u202etxet",
    "\\u000a\\",
    "\x00\x07\x9b1m",
    "A" * 1_000_000,
)


async def injected(folder: Path, *, calm: bool, count: int, storm: int) -> Report:
    """S6: what callers and upstreams say wants to be a line of the log of its own; then a storm of failures."""
    report = Report("S6", calm=calm)
    async with installed(folder, calm=calm) as run:
        (replica,) = run.replicas
        asked = await _nasty_calls(run)
        asked += await _nasty_bytes(replica)
        sent = 0
        async with asyncio.TaskGroup() as group:
            for n in range(20):
                group.create_task(_many(run, n, count // 20))
                sent += count // 20
        asked += sent
        await _written(run)
        lines = len(replica.records) + len(replica.lines)
        report.check("lines that are no JSON", len(replica.broken_lines), not replica.broken_lines)
        forged = len(replica.events("forged"))
        report.check("forged events", forged, not forged)
        text = replica.out.read_bytes()
        wild = sum(text.count(bytes([code])) for code in range(32) if code != 10)
        report.check("control characters", wild, not wild)
        report.check(f"lines for {asked} requests", lines, lines <= asked + 20)
        once = max(replica.ids().values())
        report.check("records of a call, at most", once, once == 1)
        report.check("longest line, bytes", replica.longest_line, replica.longest_line <= 8192)
        before, at = replica.bytes_logged, len(replica.lines) + len(replica.records)
        for upstream in run.upstreams.values():
            fault = {"kind": "status", "status": 500, "message": "B" * 100_000}
            await upstream.behave(fault=fault)
        async with asyncio.TaskGroup() as group:
            for n in range(20):
                group.create_task(_many(run, n, storm // 20, good=True))
        await _written(run)
        lines = len(replica.lines) + len(replica.records) - at
        report.check(f"lines for a storm of {storm} failing calls", lines, lines <= storm + 50)
        share = (replica.bytes_logged - before) / storm
        report.check("bytes a failing call", round(share), share <= 2048)
        report.check("bytes on stderr", replica.err.stat().st_size, not replica.err.stat().st_size)
    return report


async def _written(run: Installation) -> None:
    """Wait until the log has all that was said so far: lines are written in their order, so one more call will do."""
    (replica,) = run.replicas
    login = {"authorization": f"Bearer {KEYS[0]}", "content-type": "application/json"}
    body = json.dumps({"model": "qwen", "messages": [{"role": "user", "content": "x"}]}).encode()
    async with run.http.post(replica.url + "/v1/chat/completions", data=body, headers=login) as response:
        name = response.headers["x-request-id"]
    await until(lambda: replica.ids()[name], "the record of the last call")


async def _nasty_calls(run: Installation) -> int:
    """Let callers and upstreams say nasty things in every place; return how many calls were made."""
    (replica,) = run.replicas
    login = {"authorization": f"Bearer {KEYS[0]}", "content-type": "application/json"}
    calls = 0
    for nasty in NASTY:
        short = nasty[:200]
        for upstream in run.upstreams.values():
            fault = {"kind": "status", "status": 400, "message": nasty, "code": short, "type": short}
            await upstream.behave(fault=fault)
        chat: Json = {"model": "qwen", "messages": [{"role": "user", "content": nasty}]}
        bodies: list[Any] = [
            chat, chat | {"stream": True}, chat | {"model": nasty}, chat | {nasty: 1}, {nasty: nasty}, nasty,
        ]  # fmt: skip
        for body in bodies:
            await _post(replica, run.http, "/v1/chat/completions", json.dumps(body).encode(), login)
            calls += 1
        for name in run.upstreams:
            await replica.admin("POST", f"/admin/v1/backends/{name}/reset", {"reason": "next"})
    return calls


async def _nasty_bytes(replica: Replica) -> int:
    """Send what is hardly HTTP; return how many connections were made."""
    port = int(replica.url.rpartition(":")[2])
    heads = (
        b"GET /\x1b[31m HTTP/1.1\r\nhost: x\r\n\r\n",
        b'GET / HTTP/1.1\r\nhost: x\r\nx-a: "}\r\n{"event": "forged"}\r\n\r\n',
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: a\x00b\r\n\r\n",
        b'{"event": "forged"}\r\n\r\n',
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    )
    for head in heads:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        with contextlib.suppress(OSError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return len(heads)


async def _many(run: Installation, seed: int, count: int, *, good: bool = False) -> None:
    """Make many calls that fail: bad ones of all sorts, or good ones that the upstreams let fail."""
    (replica,) = run.replicas
    login = {"authorization": f"Bearer {KEYS[seed % 4]}", "content-type": "application/json"}
    bad = list(bad_requests())
    for n in range(count):
        if good:
            body = json.dumps({"model": "qwen", "messages": [{"role": "user", "content": "x"}]}).encode()
            await _post(replica, run.http, "/v1/chat/completions", body, login)
        else:
            path, data, headers = bad[(n + seed) % len(bad)]
            await _post(replica, run.http, path, data, headers)
