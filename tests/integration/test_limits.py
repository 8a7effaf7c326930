"""Limits and budgets of tenants, as their applications meet them: over real sockets, with the real SDKs."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest

from hybridproxy.gateway import following
from hybridproxy.model.limits import Measure
from hybridproxy.resilience.budget import RETRY_FLOOR, RETRY_SPAN
from hybridproxy.stores.quotas import Quotas
from tests.support.anthropic_stack import client as anthropic_client
from tests.support.anthropic_stack import speaking
from tests.support.books import books_of
from tests.support.dashscope import TEXT, asked
from tests.support.inside import change, finished
from tests.support.limited import enter, reserve
from tests.support.patience import LONG, begin_a_day
from tests.support.stack import SHOP, SINGAPORE, TORONTO, Stack, chat, running


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes for limits: on a busy machine a minute, or a second of what a header tells, is soon over."""
    make = Quotas.__init__

    def made(quotas: Quotas, now: Callable[[], float], wall: Callable[[], float], *more: Any) -> None:
        at, moment = now(), wall()
        make(quotas, lambda: at, lambda: moment, *more)

    monkeypatch.setattr(Quotas, "__init__", made)


@pytest.fixture
def unfollowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls under way are looked at only when the test does it."""
    monkeypatch.setattr(following, "EVERY", 3600)


def in_use(stack: Stack) -> dict[str, int]:
    """Return what limits of all of the shop's calls have in use."""
    return {use.key[2].value: use.used for use in stack.worker.quotas.uses(every=True) if not use.key[1]}


def reserved(stack: Stack) -> int:
    """Return the nano-dollars that are reserved."""
    return sum(use.reserved for use in stack.worker.quotas.uses(every=True))


async def test_requests_a_minute_hold_and_the_headers_tell_what_is_left(tmp_path: Path) -> None:
    """Three calls a minute: each answer says how many are left, and the fourth is told to come back."""
    async with running(tmp_path, limits=", limits: {rpm: 3}") as stack:
        client = stack.openai()
        left = []
        for stream in (False, True, False):
            raw: Any = await client.chat.completions.with_raw_response.create(**chat("hello"), stream=stream)
            left.append(raw.headers["x-ratelimit-remaining-requests"])
            assert raw.headers["x-ratelimit-limit-requests"] == "3"
            assert raw.headers["x-ratelimit-reset-requests"] == "1m0s"
            assert "x-ratelimit-limit-tokens" not in raw.headers
            if stream:
                async for _ in raw.parse():
                    pass
        assert left == ["2", "1", "0"]
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(**chat("hello"))
        error = raised.value
        assert (error.type, error.code) == ("requests", "rate_limit_exceeded")
        assert 1 <= int(error.response.headers["retry-after"]) <= 60
        assert error.response.headers["x-ratelimit-remaining-requests"] == "0"
        assert error.response.headers["x-hybridproxy-attempts"] == "0"
        assert "3 requests a minute" in error.message
        assert len(stack.received("together")) == 3
        line = (await finished(stack))[-1]
        assert (line["status"], line["code"], line["limit"]) == (429, "rate_limit_exceeded", "requests")
        assert b'hybridproxy_limited_calls_total{measure="requests"} 1.0' in stack.worker.metrics.render()


@pytest.mark.parametrize("path", ["/v1/messages", TEXT, "/v1/responses"])
async def test_each_dialect_says_it_in_its_own_words(tmp_path: Path, path: str) -> None:
    """With the codes that the SDKs of each know a limit by; Anthropic's answers have its own headers besides."""
    bodies = {
        "/v1/messages": chat("x", max_tokens=50),
        TEXT: asked("qwen", max_tokens=50),
        "/v1/responses": {"model": "qwen", "input": "x", "max_output_tokens": 50},
    }
    async with running(tmp_path, limits=", limits: {rpm: 2, tpm: 100}, budget: {usd_per_day: 0.001}") as stack:

        async def answer() -> tuple[int, Any, Any]:
            async with stack.post(path, json=bodies[path]) as response:
                return response.status, response.headers, orjson.loads(await response.read())

        status, headers, _ = await answer()
        assert status == 200
        assert headers["x-ratelimit-limit-tokens"] == "100"
        assert ("anthropic-ratelimit-tokens-remaining" in headers) is (path == "/v1/messages")
        reserve(stack.worker.quotas, stack.worker.gateway.running.snapshot.tenants["shop"], "qwen", 60)
        await change(stack, ("rpm: 2", "rpm: 9"))
        status, headers, tokens = await answer()
        assert status == 429
        await change(stack, ("tpm: 100", "tpm: 9000"), ("usd_per_day: 0.001", "usd_per_day: 0.00000001"))
        _, budget_headers, budget = await answer()
        await change(stack, ("rpm: 9", "rpm: 1"))
        _, _, requests = await answer()
    if path == "/v1/messages":
        assert {tokens["error"]["type"], budget["error"]["type"], requests["error"]["type"]} == {"rate_limit_error"}
    elif path == TEXT:
        assert tokens["code"] == budget["code"] == "Throttling.AllocationQuota"
        assert requests["code"] == "Throttling.RateQuota"
    else:
        assert tokens["error"]["code"] == requests["error"]["code"] == "rate_limit_exceeded"
        assert budget["error"]["code"] == "insufficient_quota"
    assert (budget_headers["x-should-retry"], "retry-after" in budget_headers) == ("false", False)


async def test_anthropics_client_meets_its_own_limit(tmp_path: Path) -> None:
    """As its error for rates, with its headers: what is left, and when all of it is, as a time of day."""
    async with running(tmp_path, limits=", limits: {rpm: 1}") as stack, anthropic_client(stack.url) as client:
        raw = await client.messages.with_raw_response.create(
            model="qwen", max_tokens=20, messages=[{"role": "user", "content": "hello"}]
        )
        assert raw.headers["anthropic-ratelimit-requests-limit"] == "1"
        assert raw.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert raw.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
        with pytest.raises(anthropic.RateLimitError) as raised:
            await client.messages.create(model="qwen", max_tokens=20, messages=[{"role": "user", "content": "hello"}])
        assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60


async def test_calls_at_a_time_streaming_or_not(tmp_path: Path) -> None:
    """The third of two is refused while its body is still on the way, and a place is free when a call is over."""
    async with running(tmp_path, limits=", limits: {streams: 2}") as stack:
        stack.sim("together").behave({"pace_ms": 20, "pieces": 10_000, "latency_ms": 60_000})
        calls = [asyncio.create_task(_sent(stack, stream=stream)) for stream in (True, False)]
        await stack.until(lambda: len(stack.received("together")) == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n" % SHOP.encode()
            + b"content-length: 5000\r\n\r\n{"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429")
        assert b"\r\nretry-after: 1\r\n" in head
        writer.close()
        calls[0].cancel()
        await stack.until(lambda: in_use(stack)["streams"] == 1)
        calls[1].cancel()
        await stack.until(lambda: in_use(stack)["streams"] == 0)
        await asyncio.gather(*calls, return_exceptions=True)


async def _sent(stack: Stack, **more: Any) -> bytes:
    options = {name: more.pop(name) for name in ("address", "headers") if name in more}
    async with stack.post(json=chat(**more), **options) as response:
        return await response.read()


async def test_tokens_are_reserved_by_an_estimate_and_settled_by_what_was_used(tmp_path: Path) -> None:
    """While a call is under way all of the answer that it may have is taken; afterwards what it had."""
    async with running(tmp_path, limits=", limits: {tpm: 5000}") as stack:
        stack.sim("together").behave({"latency_ms": 60_000})
        call = asyncio.create_task(_sent(stack, max_tokens=4000))
        await stack.until(lambda: stack.received("together"))
        assert 4000 < in_use(stack)["tokens"] < 4050
        async with stack.post(json=chat(max_tokens=1500)) as response:
            assert response.status == 429
            told = orjson.loads(await response.read())["error"]
            assert (told["type"], told["code"]) == ("tokens", "rate_limit_exceeded")
        async with stack.post(json=chat(max_tokens=5500)) as response:
            assert response.headers["x-should-retry"] == "false"
            assert "lower max_tokens" in (await response.text())
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await stack.until(lambda: stack.worker.gateway.in_flight == 0)
        stack.sim("together").behave({})
        before = in_use(stack)["tokens"]
        assert before < 100
        answer = await stack.openai().chat.completions.create(**chat(max_tokens=4000))
        assert answer.usage is not None
        assert in_use(stack)["tokens"] == before + answer.usage.total_tokens


@pytest.mark.parametrize("kind", ["image_url", "video_url", "audio_url"])
async def test_the_bytes_of_pictures_films_and_sounds_are_no_tokens(tmp_path: Path, kind: str) -> None:
    """300 kB of base64 would be a hundred thousand; a model with a small window is asked all the same."""
    shown = [{"type": kind, kind: {"url": "data:x/y;base64," + "A" * 400_000}}, {"type": "text", "text": "what?"}]
    body = {"model": "small-window", "max_tokens": 50, "messages": [{"role": "user", "content": shown}]}
    async with running(tmp_path, limits=", limits: {tpm: 5000}") as stack, stack.post(json=body) as response:
        assert response.status == 200, await response.text()
        assert response.headers["x-hybridproxy-backend"] == "together-us"


async def test_a_call_that_reaches_nobody_gives_everything_back(tmp_path: Path) -> None:
    """Its request too; one that an upstream refused has made a request and used nothing."""
    async with running(tmp_path, limits=", limits: {rpm: 50, tpm: 50000}, budget: {usd_per_day: 9}") as stack:
        stack.forgive()
        urls = {name: stack.sim(name).base_url for name in ("together", "openrouter", "dashscope")}
        await change(stack, *((url, "http://127.0.0.1:9") for url in urls.values()))
        async with stack.post(json=chat()) as response:
            assert response.status == 502
        assert in_use(stack) == {"requests": 0, "tokens": 0, "day": 0}
    async with running(tmp_path, limits=", limits: {rpm: 50, tpm: 50000}, budget: {usd_per_day: 9}") as stack:
        stack.forgive()
        for simulator in stack.simulators.all:
            simulator.behave({"fault": {"kind": "status", "status": 500}})
        async with stack.post(json=chat()) as response:
            assert response.status == 502
        assert in_use(stack) == {"requests": 1, "tokens": 0, "day": 0}


@pytest.mark.parametrize("how", ["it leaves", "its time is over"])
async def test_a_call_that_never_left_the_line_gives_everything_back(tmp_path: Path, how: str) -> None:
    """It waited for its turn at the only backend and gave up before that came: nothing was sent, nothing is counted."""
    settings = {"dashscope_limits": "{streams: 1}", "backends_asia": "[dashscope-sg]"}
    async with running(tmp_path, limits=", limits: {rpm: 10, tpm: 9000}", **settings) as stack:
        stack.sim("dashscope").behave({"latency_ms": 60_000})
        first = asyncio.create_task(_sent(stack, address=SINGAPORE))
        await stack.until(lambda: stack.received("dashscope"))
        before = in_use(stack)
        headers = {} if how == "it leaves" else {"x-request-timeout": "0.3"}
        second = asyncio.create_task(_sent(stack, address=SINGAPORE, headers=headers))
        await stack.until(lambda: in_use(stack)["requests"] == before["requests"] + 1)
        if how == "it leaves":
            second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await stack.until(lambda: stack.worker.gateway.in_flight == 1)
        assert in_use(stack) == before
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_calls_that_a_limit_refuses_pay_for_no_retries(tmp_path: Path) -> None:
    """Retries are a tenth of the calls that are sent: whoever sends far too many gets no more of them by that."""
    async with running(tmp_path, limits=", limits: {tpm: 5000}") as stack:
        for _ in range(30):
            async with stack.post(json=chat(max_tokens=5500)) as response:
                assert response.status == 429
        await stack.openai().chat.completions.create(**chat("hello"))
        now = asyncio.get_running_loop().time()
        allowance = stack.worker.gateway._parts.allowances.of("shop", now)
        assert sum(allowance.retry(now, loads=True) for _ in range(50)) == RETRY_FLOOR * RETRY_SPAN


async def test_a_budget_is_exceeded_at_most_by_what_was_under_way_when_it_was_reached(tmp_path: Path) -> None:
    """Many callers at once, whose answers are longer than expected: afterwards the cap holds to the nano-dollar."""
    async with running(
        tmp_path, limits=", budget: {usd_per_day: 0.004, models: {only-*: {usd_per_month: 1}}}"
    ) as stack:
        stack.sim("together").behave({"latency_ms": 30, "text": "long " * 3000})
        statuses = []

        async def caller() -> None:
            while True:
                async with stack.post(json=chat(max_tokens=200, model="only-us")) as response:
                    statuses.append(response.status)
                    told = orjson.loads(await response.read())
                    if response.status == 200:
                        continue
                    if told["error"]["code"] == "rate_limit_exceeded":  # others may turn out to cost less
                        assert response.headers["retry-after"] == "1"
                        assert "for calls under way); this call may cost" in told["error"]["message"]
                        continue
                    assert told["error"]["code"] == "insufficient_quota"
                    assert response.headers["x-should-retry"] == "false"
                    assert "a new period begins at" in told["error"]["message"]
                    statuses.append(0)
                    return

        flying = 0
        quotas = stack.worker.quotas
        admitted = quotas.reserve

        def counted(*args: Any) -> Any:
            nonlocal flying
            made = admitted(*args)
            flying = max(flying, reserved(stack))
            return made

        quotas.reserve = counted  # type: ignore[assignment,method-assign]
        await asyncio.gather(*(caller() for _ in range(12)))
        assert statuses.count(0) == 12
        assert reserved(stack) == 0
        spent = in_use(stack)["day"]
        entries = [entry for entry in stack.received("together") if entry["outcome"] == "complete"]
        each = spent / len(entries)
        assert each == int(each)
        assert 4_000_000 - each < spent <= 4_000_000 + 12 * each


async def test_answers_that_get_longer_than_expected_count_while_they_come(tmp_path: Path, unfollowed: None) -> None:
    """A caller that sets no bound streams on and on: others do not spend what it has used up, and are told to wait."""
    async with running(tmp_path, limits=", budget: {usd_per_day: 0.006}") as stack:
        stack.sim("together").behave({"pieces": 3000, "pace_ms": 0, "fault": {"kind": "stall", "after_pieces": 2000}})
        calls = stack.worker.gateway._parts.following
        async with stack.post(json=chat(stream=True)) as response:
            expected = reserved(stack)
            assert 0 < expected < 4_000_000
            assert len(calls) == 1
            came = bytearray()
            while came.count(b'"content"') < 2000:
                came += await response.content.readany()
            calls._look()
            grown = reserved(stack)
            assert grown > 1.5 * expected
            with pytest.raises(openai.RateLimitError) as raised:
                await stack.openai().chat.completions.create(**chat("x" * 4000, max_tokens=900))
            assert raised.value.code == "rate_limit_exceeded"
            assert raised.value.response.headers["retry-after"] == "1"
            calls._look()
            assert reserved(stack) == grown
        await stack.until(lambda: len(calls) == reserved(stack) == 0)
        assert expected < in_use(stack)["day"] <= grown


async def test_a_call_that_is_made_again_reserves_what_both_attempts_may_cost(tmp_path: Path, unfollowed: None) -> None:
    """One that failed after it may have been billed counts with what it may be charged for, the next beside it."""
    impatient = '["${TOGETHER}"], timeouts: {first_token: 200ms}'
    async with running(tmp_path, limits=", budget: {usd_per_day: 9}", together_keys=impatient) as stack:
        stack.sim("together").behave({"fault": {"kind": "stall"}})
        stack.sim("openrouter").behave({"first_token_ms": 25_000})
        call = asyncio.ensure_future(
            stack.openai().chat.completions.create(**chat("x" * 400, max_tokens=10), stream=True)
        )
        await stack.until(lambda: stack.received("openrouter"))
        once = reserved(stack)
        stack.worker.gateway._parts.following._look()
        assert reserved(stack) > 1.5 * once
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def test_a_call_that_only_counts_tokens_reserves_no_money_however_long_it_takes(tmp_path: Path) -> None:
    """Nobody charges for it, so others do not have to wait for what it might cost."""
    async with speaking(tmp_path) as stack:
        await change(stack, ("route: default}", "route: default, budget: {usd_per_day: 1}}"))
        stack.sim("anthropic").behave({"latency_ms": 25_000})
        counted = {"model": "claude", "messages": [{"role": "user", "content": "x" * 4000}]}
        call = asyncio.ensure_future(stack.http.post(
            stack.url + "/v1/messages/count_tokens", json=counted, headers={"authorization": f"Bearer {SHOP}"}
        ))  # fmt: skip
        await stack.until(lambda: stack.received("anthropic"))
        stack.worker.gateway._parts.following._look()
        assert reserved(stack) == 0
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", chat()),
        ("/v1/completions", {"model": "qwen", "prompt": "x"}),
        ("/v1/responses", {"model": "qwen", "input": "x"}),
        (TEXT, asked("qwen")),
        ("/v1/messages", chat(max_tokens=20)),
    ],
)
async def test_an_answer_has_no_more_tokens_than_its_tenant_may_have(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    """Who sets no bound gets one; who sets a higher one is told which field."""
    async with running(tmp_path, limits=", limits: {answer: 20, tpm: 100}, budget: {usd_per_day: 1}") as stack:
        async with stack.post(path, json=body) as response:
            assert response.status == 200
        sent = stack.received("together")[-1]["body"]
        assert 20 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
        if path == "/v1/messages":
            async with stack.post(path, json={**body, "max_tokens": 21}) as response:
                assert response.status == 400
                assert "'max_tokens' must be a whole number from 1 to 20" in await response.text()


async def test_a_budget_goes_on_after_a_restart_with_what_the_ledger_knows(tmp_path: Path) -> None:
    """And a budget that a reload brings begins with what was spent before it."""
    begin_a_day()
    more = {
        "limits": ', budget: {usd_per_day: 9, models: {"qw*": {usd_per_month: 9}}}',
        "audit": "ledger: {path: led/}",
    }
    async with running(tmp_path, **more) as stack:
        for _ in range(2):
            await stack.openai().chat.completions.create(**chat(max_tokens=50))
        await booked(stack)
        await change(stack, ("usd_per_day: 9", "usd_per_day: 9, usd_per_month: 9"))
        await stack.openai().chat.completions.create(**chat(max_tokens=50))
        spent = in_use(stack)
        assert spent["day"] == spent["month"] > 0
        await booked(stack)
    async with running(tmp_path, **more) as stack:
        enter(stack.worker.quotas, stack.worker.gateway.running.snapshot.tenants["shop"])
        assert {use.key[1:]: use.used for use in stack.worker.quotas.uses(every=True)} == {
            ("", Measure.DAY): spent["day"],
            ("qw*", Measure.MONTH): spent["day"],
        }


async def booked(stack: Stack) -> None:
    """Wait until all is in the ledger, however long the disk takes: a reload waits for it for a second."""
    assert stack.worker.ledger is not None
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    async with asyncio.timeout(LONG):
        while not await stack.worker.ledger.flushed(LONG):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("others", ["", ", limits: {rpm: 100}"])
async def test_a_budget_that_was_away_for_a_while_has_what_was_spent_meanwhile(tmp_path: Path, others: str) -> None:
    """Taken out of the file, whatever else is limited, and put back: the ledger knows what nobody counted."""
    begin_a_day()
    budget = ", budget: {usd_per_day: 9}"
    async with running(tmp_path, limits=others + budget, audit="ledger: {path: led/}") as stack:
        client = stack.openai()
        await client.chat.completions.create(**chat(max_tokens=50))
        once = in_use(stack)["day"]
        await change(stack, (budget, ""))
        await client.chat.completions.create(**chat(max_tokens=50))
        await booked(stack)
        await change(stack, ('models: ["*"]', 'models: ["*"]' + budget))
        await client.chat.completions.create(**chat(max_tokens=50))
        assert in_use(stack)["day"] == 3 * once > 0
        await booked(stack)
        await change(stack, ("usd_per_day: 9", "usd_per_day: 8"))
        assert in_use(stack)["day"] == 3 * once


class Cut:
    """Awaits a coroutine, and ends it at its k-th suspension: as a caller that leaves does, or a bug."""

    def __init__(self, coroutine: Any, k: int, how: str) -> None:
        self.coroutine = coroutine
        self.left = k
        self.how = how

    def __await__(self) -> Any:
        task = asyncio.current_task()
        assert task is not None
        step: tuple[Any, Any] = self.coroutine.send, None
        while True:
            try:
                waited = step[0](step[1])
            except StopIteration:
                return
            self.left -= 1
            if self.left == 0 and self.how == "cancelled":
                task.cancel()  # what is waited for is cancelled before it comes to anything
            try:
                yield waited
                bug = self.left == 0 and self.how == "bug"
                step = (self.coroutine.throw, ValueError("a bug")) if bug else (self.coroutine.send, None)
            except BaseException as error:  # noqa: BLE001 - the coroutine's, whatever it is
                step = self.coroutine.throw, error


FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "whole": ({"latency_ms": 3}, {}),
    "stream": ({"first_token_ms": 3, "pace_ms": 1, "pieces": 4}, {"stream": True}),
    "count": ({"latency_ms": 3}, {"max_tokens": 5}),
    "failed over": ({"fault": {"kind": "status", "status": 500, "times": 1}}, {}),
    "cut": ({"fault": {"kind": "cut", "after_pieces": 2}, "pace_ms": 1}, {"stream": True}),
    "refused": ({"fault": {"kind": "status", "status": 400}}, {}),
}


@pytest.mark.parametrize("how", ["cancelled", "bug"])
async def test_whenever_a_call_ends_what_it_took_is_back_exactly_once(tmp_path: Path, how: str) -> None:
    """Cancelled at each of its suspensions, or broken by a bug there; streaming or not, in any course it may take."""
    limits = (
        ", limits: {rpm: 5000, tpm: 10000000, streams: 5, models: {qw*: {streams: 3, tpm: 9000000}}}"
        ", budget: {usd_per_day: 900, models: {qwen: {usd_per_month: 900}}}"
    )
    async with running(tmp_path, limits=limits, on_cut="[resume, replay, error]", patience="1s") as stack:
        stack.forgive()
        books = books_of(stack)
        worker = stack.worker
        handle, server = worker.ingress.handle, worker.connections
        assert server is not None
        ended: list[Cut] = []

        def serve(k: int) -> Any:
            async def wrapped(request: Any) -> None:
                ended.append(Cut(handle(request), k, how))
                try:
                    await ended[-1]
                except BaseException:
                    request._connection.transport.abort()
                    raise

            return wrapped

        for behaviour, fields in FORMS.values():
            path = "/v1/messages/count_tokens" if "max_tokens" in fields else "/v1/chat/completions"
            for k in range(1, 40):
                for simulator in stack.simulators.all:
                    simulator.behave(behaviour)
                server._own = serve(k)
                before = in_use(stack)
                await _in_two_parts(worker.port, path, orjson.dumps(chat(**fields)))
                await stack.until(lambda: worker.gateway.in_flight == 0)
                after = {use.key: use for use in worker.quotas.uses(every=True)}
                assert {use.used for key, use in after.items() if key[2].value == "streams"} <= {0}, (fields, k)
                assert {use.reserved for use in after.values()} <= {0}, (fields, k)
                now = in_use(stack)
                for what, most in (("requests", 1), ("tokens", 3000), ("day", 10_000_000)):
                    assert 0 <= now.get(what, 0) - before.get(what, 0) <= most, (fields, k, what)
                if ended[-1].left > 0:
                    break
            assert k > 1
        books.check()  # and each attempt is in the ledger once, as is each call of the tenant's
        received = [entry for simulator in stack.simulators.all for entry in stack.received(simulator.name)]
        sent = Counter(dict(entry["headers"])["x-request-id"] for entry in received)
        assert sent <= Counter(start.call for start in books.started)


async def _in_two_parts(port: int, path: str, body: bytes) -> bytes:
    """Send a call whose body comes late, and return what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SHOP}\r\nx-forwarded-for: {TORONTO}\r\n"
    writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body[:5])
    try:
        await asyncio.sleep(0.001)
        writer.write(body[5:])
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_budget_of_nothing_has_no_room_for_the_smallest_call(tmp_path: Path) -> None:
    """An embedding of one letter is estimated as a token, and costs more than 0; in the VPC it costs nothing."""
    async with running(tmp_path, limits=", budget: {usd_per_day: 0}") as stack:
        async with stack.post("/v1/embeddings", json={"model": "qwen", "input": "a"}) as response:
            assert response.status == 429
            message = orjson.loads(await response.read())["error"]["message"]
        assert "this call may cost 0.0000" in message
        assert stack.received("together") == []
