"""A cluster of engines in the VPC: conversations and their caches, an engine that dies, tenants kept apart. C1, S9."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path

import aiohttp
import orjson

from tests.acceptance.calls import Ask
from tests.acceptance.installation import KEYS, TEXT, Installation, Json, installed
from tests.acceptance.load import Load
from tests.acceptance.processes import until
from tests.acceptance.report import Report, bad, nothing_lost, why

ENGINES = dict.fromkeys("abcd", "vllm")
PROMPTS = tuple(f"question {n}" for n in range(40))
SPOKEN = tuple(f"Hello from {engine} (qwen). You said: {prompt}" for engine, prompt in product(ENGINES, PROMPTS))
LEAST = 15
LAST = 5
"""Turns of each conversation by which it is told whether it is at home somewhere."""

SETTLED = 60.0
"""Seconds that it may take until they are, on a machine that is not calm."""

AT_HOME = 0.9
THINKING = 0.2
"""Seconds between an answer and the next question of its conversation."""


def clustered(config: Json, *, calm: bool) -> None:
    """Make one backend of all, and every tenant sovereign."""
    times = ("1s", "5s", "5s") if calm else ("10s", "20s", "20s")
    urls = [backend["base_url"] for backend in config["backends"].values()]
    config["backends"] = {
        "vpc": {
            "provider": "vllm", "trust": "vpc", "api_key": "${KEY}", "endpoints": urls, "allow_cidrs": ["127.0.0.0/8"],
            "timeouts": dict(zip(("connect", "first_token", "answer"), times, strict=True)),
        }
    }  # fmt: skip
    config["models"] = {"qwen": {"family": "qwen3", "served_by": {"vpc": "qwen"}}}
    config["routes"] = {}
    config["tenants"] = {
        name: {"keys": tenant["keys"], "residency": "vpc"} for name, tenant in config["tenants"].items()
    }


class Talk:
    """One conversation, whose turns go to the replicas in turn: the engines that answered, and the ids of its calls."""

    def __init__(self, run: Installation, number: int) -> None:
        self.places: list[str] = []
        self.failed: list[str] = []
        self.ids: list[str] = []
        self._run = run
        self._number = number
        self._messages: list[Json] = [{"role": "system", "content": "Be brief."}]

    async def hold(self, over: asyncio.Event) -> None:
        """Go on until it is over, for `LEAST` turns at least: a share of few says little."""
        while not over.is_set() or len(self.ids) < LEAST:
            await self._turn()
            await asyncio.sleep(THINKING)

    async def _turn(self) -> None:
        turn = len(self.places) + len(self.failed)
        url = self._run.urls[turn % len(self._run.urls)]
        question = {"role": "user", "content": f"turn {turn} of {self._number}"}
        headers = {"authorization": f"Bearer {KEYS[self._number % 4]}"}
        body = {"model": "qwen", "messages": [*self._messages, question]}
        async with self._run.http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
            answer = await response.json()
        self.ids.append(response.headers["x-request-id"])
        if response.status != 200:
            self.failed.append(str(answer["error"]["code"]))
            return
        said = answer["choices"][0]["message"]["content"]
        self._messages += [question, {"role": "assistant", "content": said}]
        self.places.append(said.split()[2])

    @property
    def returned(self) -> list[bool]:
        """Of each turn but the first whether it was where the one before was."""
        return [here == before for before, here in zip(self.places, self.places[1:], strict=False)]


async def conversations(folder: Path, *, calm: bool, rate: float, before: float, out: float, after: float) -> Report:
    """C1: conversations under load; an engine is killed, and comes back."""
    report = Report("C1", calm=calm)

    def ask(n: int) -> Ask:
        return Ask(KEYS[n % 4], replica=n // 4 % 2, stream=n % 3 == 0, prompt=PROMPTS[n % len(PROMPTS)])

    async with (
        installed(folder, calm=calm, replicas=2, providers=ENGINES, change=partial(clustered, calm=calm)) as run,
        Load(run.urls, ask, rate, (*SPOKEN, TEXT)) as load,  # the first ones may come before the engines are told
    ):
        settings = {"first_token_ms": 150, "pace_ms": 10}
        await asyncio.gather(*(engine.behave(**settings) for engine in run.upstreams.values()))
        talks = [Talk(run, number) for number in range(20)]
        over = asyncio.Event()
        talking = asyncio.gather(*(talk.hold(over) for talk in talks))
        await asyncio.sleep(before)
        await until(lambda: talks[0].places, "the first turn of a conversation", SETTLED)
        gone = talks[0].places[0]
        under_way = int((await run[gone].state())["in_flight"])
        killed = time.time()
        await run[gone].kill()
        for replica in run.replicas:
            await replica.logged("breaker.opened", since=killed, backend="vpc")
        await asyncio.sleep(out)
        back = time.time()
        await run[gone].start()
        await run[gone].ready()
        await run[gone].behave(**settings)
        for replica in run.replicas:
            await replica.logged("breaker.closed", since=back, backend="vpc")
        await asyncio.sleep(after)
        if not calm:
            with contextlib.suppress(TimeoutError):
                await until(lambda: _last(talks) >= AT_HOME, "conversations at home", SETTLED)
        last = _last(talks)
        over.set()
        await talking
        await load.stop()
        returned = [one for talk in talks for one in talk.returned]
        share = sum(returned) / len(returned)
        if calm:
            report.check("turns where the one before was, %", 100 * share, share >= AT_HOME)
        else:  # engines that stand still are given way to: what counts is that it passes; by chance it were a quarter
            report.note("turns where the one before was, %", 100 * share)
            report.check("of the last ones, %", 100 * last, last >= AT_HOME)
        failed = Counter(code for talk in talks for code in talk.failed)
        report.check("turns that failed", dict(failed) or 0, not failed)
        lost = [call for call in bad(load.calls) if not (call.ask.stream and call.first is not None)]
        report.check("calls lost that had not begun", f"{why(lost)} of {len(load.calls)}", not lost)
        at_home = sum(talk.places[-1] == talk.places[0] for talk in talks)
        report.note("conversations that ended where they began", at_home)
        report.note("turns", len(returned) + len(talks))
        report.note("engines that held conversations", len({talk.places[0] for talk in talks}))
        report.note("calls under way at the engine when it was killed", under_way)
        report.note("what failed:", why(bad(load.calls)))
        states = [await engine.state() for engine in run.upstreams.values()]
        known = sum(state["totals"]["cached_tokens"] for state in states)
        report.note("tokens of prompts found in caches, %", 100 * known / _prompts(states))
        await nothing_lost(report, load, run, tally=False, others=[name for talk in talks for name in talk.ids])
    return report


def _last(talks: Sequence[Talk]) -> float:
    """Return the part of the last turns of each conversation that were where the one before was."""
    last = [one for talk in talks for one in talk.returned[-LAST:]]
    return sum(last) / (LAST * len(talks))


def _prompts(states: Sequence[Json]) -> int:
    return max(1, sum(int(state["totals"]["prompt_tokens"]) for state in states))


async def apart(folder: Path, *, calm: bool, rounds: int) -> Report:
    """S9: two tenants with identical prompts, at two replicas, behind the same engines."""
    report = Report("S9", calm=calm)
    change = partial(clustered, calm=calm)
    async with installed(folder, calm=calm, replicas=2, providers=ENGINES, tenants=2, change=change) as run:
        found: dict[tuple[int, int], int] = {}
        for turn in range(rounds):
            prompt = f"the same words of both, {turn}"
            for tenant, replica in product(range(2), range(2)):
                usage = await _asked(run, tenant, replica, prompt)
                key = (tenant, replica)
                found[key] = found.get(key, 0) + usage["prompt_tokens_details"]["cached_tokens"]
        sent = [entry for engine in run.upstreams.values() for entry in await _bodies(run.http, engine.url)]
        salts: dict[str, set[str]] = {}
        for headers, body in sent:
            salts.setdefault(headers["x-request-id"], set()).add(body["cache_salt"])
        await until(lambda: len(_owners(run)) >= len(salts), "every call in the logs")
        owners = _owners(run)
        by_tenant: dict[str, set[str]] = {}
        for call, of_call in salts.items():
            by_tenant.setdefault(owners[call], set()).update(of_call)
        one = all(len(of_tenant) == 1 for of_tenant in by_tenant.values())
        report.check("salts of a tenant, at both replicas", max(map(len, by_tenant.values())), one)
        shared = set.intersection(*by_tenant.values())
        report.check("salts that two tenants have", len(shared), len(by_tenant) == 2 and not shared)
        first = found[0, 0] + found[1, 0]
        report.check("tokens found of the other tenant's prompts", first, first == 0)
        again = found[0, 1] + found[1, 1]
        report.check("tokens found of one's own, by the other replica", again, again > 0)
        told = [replica.out.read_text() + replica.err.read_text() for replica in run.replicas]
        told += [str(await replica.metrics()) for replica in run.replicas]
        shown = [salt for salt in set.union(*by_tenant.values()) if any(salt in text for text in told)]
        report.check("salts in logs and metrics", len(shown), not shown)
    return report


def _owners(run: Installation) -> dict[str, str]:
    """Return whose each call was, by the logs."""
    for replica in run.replicas:
        replica.read()
    return {record["id"]: record["tenant"] for replica in run.replicas for record in replica.records}


async def _asked(run: Installation, tenant: int, replica: int, prompt: str) -> Json:
    body = {"model": "qwen", "messages": [{"role": "user", "content": prompt}], "cache_salt": "the same"}
    headers = {"authorization": f"Bearer {KEYS[tenant]}"}
    url = f"{run.urls[replica]}/v1/chat/completions"
    async with run.http.post(url, json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        usage: Json = (await response.json())["usage"]
        return usage


async def _bodies(http: aiohttp.ClientSession, url: str) -> list[tuple[dict[str, str], Json]]:
    """Return the heads and bodies of the model calls that an engine got."""
    async with http.get(f"{url}/_sim/requests") as response:
        entries = orjson.loads(await response.read())["requests"]
    return [(dict(entry["headers"]), entry["body"]) for entry in entries if entry["method"] == "POST"]
