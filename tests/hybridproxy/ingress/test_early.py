"""Calls that are refused from their first bytes: which bytes are beyond doubt one call, and what their caller gets."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.gateway.memory import Memory
from hybridproxy.gateway.pressure import Pressure
from hybridproxy.gateway.reply import Reply, error_reply
from hybridproxy.ingress.connection import Seen
from hybridproxy.ingress.early import SPREAD, Refusals, plain_call
from hybridproxy.model.dialect import Dialect
from hybridproxy.resilience.shedding import Shed, Shedding

HOST = b"host: x\r\n"


def call(lines: bytes = HOST, body: bytes = b"{}", path: bytes = b"/v1/chat/completions", **options: Any) -> bytes:
    """A request as it is written in the plain way, unless told otherwise."""
    length = options.get("length", b"content-length: %d\r\n" % len(body))
    return b"POST %b HTTP/1.1\r\n%b%b\r\n%b" % (path, lines, length, body)


@pytest.mark.parametrize(
    ("data", "dialect"),
    [
        (call(), Dialect.OPENAI),
        (call(path=b"/v1/messages?beta=true"), Dialect.ANTHROPIC),
        (call(path=b"/compatible-mode/v1/embeddings"), Dialect.OPENAI),
        (call(path=b"/v1/responses"), Dialect.RESPONSES),
        (call(path=b"/api/v1/services/aigc/text-generation/generation"), Dialect.DASHSCOPE),
        (call(b"Host: x\r\nContent-Length: 2\r\n", length=b""), Dialect.OPENAI),
    ],
)
def test_a_plain_call_is_known_by_its_bytes(data: bytes, dialect: Dialect) -> None:
    """Whatever the dialect, and however the names of headers are written."""
    assert plain_call(data) == Seen(dialect, keep=True)


@pytest.mark.parametrize(
    ("line", "keep"),
    [(b"connection: keep-alive\r\n", True), (b"Connection: close\r\n", False), (b"connection: x, close\r\n", False)],
)
def test_a_caller_that_ends_its_connection_is_let_go(line: bytes, keep: bool) -> None:
    """Closing is never wrong, so anything but keep-alive closes."""
    assert plain_call(call(HOST + line)) == Seen(Dialect.OPENAI, keep=keep)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        call()[:-1],
        call() + b"x",
        call() + call(),
        call()[:20],
        b" " + call(),
        b"\r\n" + call(),
        call().replace(b"POST", b"PUT"),
        call().replace(b"1.1", b"1.0"),
        call().replace(b" HTTP/1.1", b""),
        call(path=b"/v1/models"),
        call(path=b"http://x/v1/messages"),
        call(path=b"/v1/messages /v1/messages"),
        call(length=b""),
        call(HOST + b"transfer-encoding: chunked\r\n"),
        call(HOST + b"x: Transfer-Encoding\r\n"),
        call(HOST + b"content-length: 2\r\n"),
        call(HOST + b"Content-Length : 3\r\n"),
        call(length=b"content-length: +2\r\n"),
        call(length=b"content-length: 2 \r\n"),
        call(length=b"content-length: 2\r\n 3\r\n"),
        call(length=b"content-length: 2, 2\r\n"),
        call(length=b"content-length:\t2\r\n"),
        call(length=b"content-length: 0x2\r\n"),
        call(length=b"x-content-length: 2\r\n"),
        call(HOST + b"x: a\ntransfer-encoding: chunked\r\n"),
        call(HOST + b"x: a\n\nb\r\n"),
        call(HOST + b"x: a\rb\r\n"),
    ],
)
def test_what_might_be_read_in_another_way_goes_to_the_parser(data: bytes) -> None:
    """Parts of requests, several at once, and all that somebody could end elsewhere."""
    assert plain_call(data) is None


@given(st.binary(max_size=60), st.integers(0, 120), st.sampled_from([b"", b"\r\n", b"content-length: 1\r\n", b"\n"]))
def test_whatever_is_in_it_its_end_is_that_of_the_bytes(junk: bytes, at: int, line: bytes) -> None:
    """Where a call is seen its length is told once, and it is exactly that long."""
    whole = call()
    data = whole[:at] + junk + line + whole[at:]
    if plain_call(data) is not None:
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [text for text in head.lower().split(b"\r\n") if text.startswith(b"content-length")]
        assert [int(text.partition(b":")[2]) for text in lengths] == [len(body)]
        assert b"\n" not in head.replace(b"\r\n", b"")
        assert b"chunked" not in head.lower()


def nobody(_dialect: Dialect, _key: str | None) -> Reply | None:
    """No tenant's limit is used up."""
    return None


async def refusing(reason: Shed, own_limit: Callable[[Dialect, str | None], Reply | None] = nobody) -> Refusals:
    """Refusals of a worker that refuses everything for one reason."""
    numbers = iter(range(10**6))
    states = {Shed.MEMORY: Shedding(memory=True), Shed.LAG: Shedding(rate=1.0), Shed.CALLS: Shedding()}
    pressure = Pressure(
        lambda: 10, Memory(), clock=time.monotonic, log=lambda *_, **__: None, most=5 if reason is Shed.CALLS else 99,
        late=0.1,
    )  # fmt: skip
    pressure.close()
    pressure.engaged, pressure.state = True, states[reason]
    return Refusals(pressure, lambda: f"req_{next(numbers):016x}", own_limit)


@pytest.mark.parametrize("reason", Shed)
@pytest.mark.parametrize(
    ("dialect", "status", "kind"),
    [
        (Dialect.OPENAI, 503, ("error", "code", "overloaded")),
        (Dialect.RESPONSES, 503, ("error", "code", "overloaded")),
        (Dialect.ANTHROPIC, 529, ("error", "type", "overloaded_error")),
        (Dialect.DASHSCOPE, 503, (None, "code", "ModelUnavailable")),
    ],
)
async def test_a_refusal_is_an_answer_of_the_callers_dialect(
    reason: Shed, dialect: Dialect, status: int, kind: tuple[str | None, str, str]
) -> None:
    """Status, error, length, name of the call and the time to come again, whether it was parsed or not."""
    refusals = await refusing(reason)
    data = refusals.answer(Seen(dialect, keep=True))
    assert data is not None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    said = orjson.loads(body)
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert int(headers["content-length"]) == len(body)
    assert headers["x-request-id"] == "req_0000000000000000"
    assert headers["x-hybridproxy-attempts"] == "0"
    assert 1 <= int(headers["retry-after"]) <= SPREAD
    assert "connection" not in headers
    inside, name, word = kind
    assert (said if inside is None else said[inside])[name] == word
    if dialect in {Dialect.ANTHROPIC, Dialect.DASHSCOPE}:
        assert said["request_id"] == headers["x-request-id"]
    reply = refusals.reply(dialect, None, seen=False)
    assert reply is not None
    assert reply.status == status
    assert reply.headers.keys() == headers.keys() - {"server", "date", "content-length"}


@pytest.mark.parametrize("reason", Shed)
@pytest.mark.parametrize(
    ("dialect", "kind"),
    [(Dialect.OPENAI, b'"code":"rate_limit_exceeded"'), (Dialect.ANTHROPIC, b'"type":"rate_limit_error"'),
     (Dialect.DASHSCOPE, b'"code":"Throttling.RateQuota"')],
)  # fmt: skip
async def test_a_tenants_own_limit_is_told_before_the_workers(reason: Shed, dialect: Dialect, kind: bytes) -> None:
    """It is the tenant's fault; other tenants get to know that the worker is full. Nothing of its rate is used up."""

    def own_limit(_: Dialect, key: str | None) -> Reply | None:
        if key != "hp_noisy":
            return None
        return error_reply(429, "too many", type_="requests", code="rate_limit_exceeded", headers={"retry-after": "7"})

    refusals = await refusing(reason, own_limit)
    data = refusals.answer(Seen(dialect, keep=True, key="hp_noisy"))
    assert data is not None
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 7" in head
    assert b"content-length: %d" % len(body) in head
    assert kind in body
    reply = refusals.reply(dialect, "hp_noisy", seen=False)
    assert reply is not None
    assert (reply.status, reply.headers["x-request-id"]) == (429, "req_0000000000000001")
    assert sum(refusals._pressure.refused.values()) == 0
    other = refusals.reply(dialect, "hp_quiet", seen=False)
    assert other is not None
    assert other.status in {503, 529}


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        (b"Authorization: Bearer hp_Abc\r\n", "hp_Abc"),
        (b"authorization: BEARER  hp_Abc \r\n", "hp_Abc"),
        (b"X-Api-Key: hp_Abc\r\n", "hp_Abc"),
        (b"authorization: Basic hp_Abc\r\n", None),
        (b"x-authorization: bearer hp_Abc\r\n", None),
        (b"x-api-key: \xe9\r\n", "\xe9"),
    ],
)
def test_the_key_of_a_plain_call(lines: bytes, key: str | None) -> None:
    """It is read to tell whose limit is used up, and for nothing else."""
    seen = plain_call(call(HOST + lines))
    assert seen is not None
    assert seen.key == key


async def test_callers_are_not_told_to_come_again_all_at_once() -> None:
    """Seconds are given out in turn, and each answer has its own name."""
    refusals = await refusing(Shed.LAG)
    answers = [refusals.answer(Seen(Dialect.OPENAI, keep=True)) or b"" for _ in range(2 * SPREAD)]
    assert {answer.partition(b"retry-after: ")[2][:1] for answer in answers} == {b"1", b"2", b"3", b"4"}
    assert len({answer.partition(b"x-request-id: ")[2][:20] for answer in answers}) == 2 * SPREAD


async def test_the_date_of_a_refusal_is_not_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made once is made anew in the next second."""
    refusals = await refusing(Shed.LAG)
    loop_time = asyncio.get_running_loop().time()
    refusals._now = lambda: loop_time
    refusals.answer(Seen(Dialect.OPENAI, keep=True))
    refusals._now = lambda: loop_time + 1
    refusals.answer(Seen(Dialect.OPENAI, keep=True))
    assert len(refusals._made) == 1
