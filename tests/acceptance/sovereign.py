"""Every combination of failing upstreams, and a witness that sees every packet: V2. No packet may leave the VPC.

All of it runs in namespaces of its own (`tests.support.namespace`): the proxy on its machine, vLLM in the VPC, third
parties and a resolver in the internet, which the proxy could reach as it could in the real one. First only sovereign
calls are made, and the witness must see nobody but the VPC. Then ordinary calls are made among them, which shows that
it sees who leaves; and what leaves holds not a word of the sovereign calls.
"""

import asyncio
import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.acceptance.installation import KEYS, Json, digest
from tests.acceptance.processes import Replica
from tests.acceptance.report import Check, Report
from tests.acceptance.upstreams import KINDS, Far
from tests.support.namespace import ENGINES, OURS, PUBLIC, RESOLVER, VPC, World, inside
from tests.support.packets import Packet, strangers
from tests.support.sniffer import Sniffer
from tests.support.upstreams import PORT

THIRD: Final = {"together": "/v1", "dashscope": "/compatible-mode/v1", "openrouter": "/api/v1", "openai": "/v1"}
"""Providers of third parties, with the paths of their base URLs."""

BYSTANDER: Final = PUBLIC[-1]
"""Where redirects lead: a public address that no configuration names."""

PROMPT, SECRET = "what is for lunch", "the bank's secret about its ledger"
WRONG_PROXIES: Final = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), "http://198.51.100.18:3128"
)
"""An environment that would have everything sent through a stranger."""

QUICK: Final = {"connect": "500ms", "first_token": "150ms", "answer": "150ms", "between_bytes": "150ms"}
BANK, SHOP = KEYS[0], KEYS[1]


async def all_failures(folder: Path, *, calm: bool, **given: Any) -> Report:
    """Run it in a world of its own."""
    found = await inside("tests.acceptance.sovereign:witnessed", folder, seconds=3000, calm=calm, **given)
    return Report(found["id"], calm, [Check(**check) for check in found["checks"]], found["notes"])


def configuration(engines: int, third: int) -> Json:
    """Return a bank's configuration: engines in the VPC, third parties by their names, everything on that exists."""
    names = [f"engine-{n}" for n in range(engines)]
    near = {
        name: {
            "provider": "vllm", "trust": "vpc", "api_key": "${KEY}", "insecure": True,
            "endpoints": [f"http://{host}:{PORT}"], "allow_cidrs": [VPC], "timeouts": QUICK,
        }
        for name, host in zip(names, ENGINES, strict=False)
    }  # fmt: skip
    far = {
        f"third-{n}": {
            "provider": kind, "api_key": "${KEY}", "insecure": True, "timeouts": QUICK,
            "base_url": f"http://{named(n)}:{PORT}{path}",
        } | ({"site": "singapore"} if kind == "dashscope" else {})
        for n, (kind, path) in enumerate(itertools.islice(itertools.cycle(THIRD.items()), third))
    }  # fmt: skip
    return {
        "breaker": {"open_for": "1ms", "open_max": "1ms"},
        "backends": near | far,
        "models": {"qwen": {"family": "qwen3", "served_by": {name: f"own-{name}" for name in [*near, *far]}}},
        "routes": {
            "default": {
                "regions": {"default": [*far, *near]},
                "hedge": "2%",
                "on_cut": ["resume", "replay", "error"],
            }
        },
        "tenants": {"bank": {"keys": [digest(BANK)], "residency": "vpc"}, "shop": {"keys": [digest(SHOP)]}},
    }


def named(number: int) -> str:
    """Return the name of a third party."""
    return f"api{number}.third.example"


def vectors(count: int) -> Iterator[tuple[bool, ...]]:
    """Give all combinations of failures; each differs from the one before in one upstream (Gray's code)."""
    for n in range(2**count):
        yield tuple(bool((n ^ n >> 1) >> bit & 1) for bit in range(count))


class Calls:
    """Makes calls of both kinds, and counts what came of the sovereign ones."""

    def __init__(self, http: aiohttp.ClientSession, url: str, *, calm: bool) -> None:
        self._http, self._url = http, url
        # time-outs are short: a machine that stands still for longer has an engine's stream given up in the middle
        self._answers = {"200"} if calm else {"200", "200 cut"}
        self.made = self.answered = self.refused = 0
        self.odd: list[str] = []

    async def sovereign(self, *, well: bool) -> None:
        """A stream and an answer at once of the bank, and of somebody who demands the VPC for this call alone."""
        demand = {"x-hybridproxy-residency": "vpc"}
        for kind in await asyncio.gather(
            self._call(BANK, SECRET, stream=True), self._call(BANK, SECRET), self._call(SHOP, SECRET, demand)
        ):
            self.made += 1
            self.answered += kind == "200"
            self.refused += kind == "503"
            if kind not in {*self._answers, "503"} or (kind != "503" and not well):
                self.odd.append(kind)

    async def ordinary(self) -> str:
        """A call that may go anywhere; return who answered."""
        return await self._call(SHOP, PROMPT, stream=True)

    async def _call(self, key: str, text: str, headers: Json | None = None, *, stream: bool = False) -> str:
        body = {"model": "qwen", "messages": [{"role": "user", "content": text}], "stream": stream}
        own = {"authorization": f"Bearer {key}", **(headers or {})}
        async with self._http.post(f"{self._url}/v1/chat/completions", json=body, headers=own) as response:
            data = await response.read()
            cut = response.status == 200 and stream and not data.endswith(b"data: [DONE]\n\n")
            return f"{response.status}{' cut' if cut else ''}"


async def witnessed(
    world: World, folder: Path, *, calm: bool, engines: int, third: int, rounds: int, mixed: int
) -> Json:
    """Run it in the world that this process is in."""
    report = Report("V2", calm=calm)
    names = {named(n): PUBLIC[n] for n in range(third)}
    async with AsyncExitStack() as stack:
        seen = stack.enter_context(Sniffer())
        inner = [Far(world, folder, "vpc", "vllm", host) for host in ENGINES[:engines]]
        kinds = itertools.islice(itertools.cycle(THIRD), third)
        outer = [Far(world, folder, "internet", kind, host) for kind, host in zip(kinds, PUBLIC, strict=False)]
        bystander = Far(world, folder, "internet", "openai", BYSTANDER)
        resolver = Far(world, folder, "internet", "dns", RESOLVER, names)
        everybody = [*inner, *outer, bystander, resolver]
        stack.push_async_callback(lambda: asyncio.gather(*(far.stop() for far in everybody)))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        environment = {"KEY": "upstream-key", **WRONG_PROXIES}
        proxy = Replica(folder, http, "proxy", configuration(engines, third), environment)
        stack.push_async_callback(proxy.stop)
        began = seen.mark()
        await asyncio.gather(*(far.start() for far in everybody), proxy.start())
        await proxy.ready()
        calls = Calls(http, proxy.url, calm=calm)
        await _matrix(report, [*inner, *outer], engines, rounds, calls)
        alone = seen.packets(since=began)
        _judge_alone(report, alone, calls)
        contacts = [await far.counted() for far in (*outer, bystander)]
        report.check("connections at third parties, by their own count", sum(contacts), not any(contacts))
        await _mixed(report, seen, inner, outer, bystander, calls, mixed)
        report.check("packets the witness missed", seen.missed, seen.missed == 0)
        errors = proxy.err.read_text()
        report.check("on the proxy's stderr", errors or "nothing", not errors)
    return dataclasses.asdict(report)


async def _matrix(report: Report, parts: list[Far], engines: int, rounds: int, calls: Calls) -> None:
    """Make sovereign calls in every combination of failures, each failing in all the ways there are, in turn."""
    cases = 0
    for turn, (number, down) in itertools.product(range(rounds), enumerate(vectors(len(parts)))):
        ways = [KINDS[(turn + number + n) % len(KINDS)] if out else "" for n, out in enumerate(down)]
        await asyncio.gather(*(part.become(way, BYSTANDER) for part, way in zip(parts, ways, strict=True)))
        await calls.sovereign(well=not all(down[:engines]))
        cases += 1
    await asyncio.gather(*(part.become("", BYSTANDER) for part in parts))
    wanted = rounds * 2 ** len(parts)
    report.check("combinations of failures", cases, cases == wanted)


def _judge_alone(report: Report, packets: list[Packet], calls: Calls) -> None:
    """Check what was seen while nobody but sovereign callers was there."""
    foreign = strangers(packets, OURS)
    inside = [packet for packet in packets if packet.interface == "vpc0"]
    asked = [name for packet in packets for name in packet.asks]
    shown = f"{len(foreign)} of {len(packets)} {'; '.join(map(str, foreign[:3]))}".strip()
    report.check("packets to or from others", shown, not foreign)
    report.check("names asked for", ", ".join(asked) or 0, not asked)
    report.check("packets to and from the VPC", len(inside), len(inside) > calls.made)
    told = any(SECRET.encode() in packet.data for packet in inside)
    report.check("prompts seen on their way into the VPC", told, told)
    report.check("sovereign calls", f"{calls.made}, {calls.answered} answered, {calls.refused} refused", True)
    report.check("both happened", calls.answered > 0 < calls.refused, calls.answered > 0 < calls.refused)
    odd = ", ".join(calls.odd[:5]) or "none"
    report.check("other answers, or answers without a VPC", odd, not calls.odd)


async def _mixed(
    report: Report, seen: Sniffer, inner: list[Far], outer: list[Far], bystander: Far, calls: Calls, times: int
) -> None:
    """Make ordinary calls, alone and among sovereign ones while everything of the VPC fails."""
    began = seen.mark()
    control = ""
    for _ in range(1 if report.calm else 20):  # times are short, and a machine that is slow may need some tries
        if (control := await calls.ordinary()) == "200":
            break
    packets = seen.packets(since=began)
    report.check("an ordinary call", control, control == "200")
    gone = strangers(packets, OURS)
    peers = sorted({packet.peer for packet in gone})
    report.check("its packets, seen by the witness", f"{len(gone)} with {', '.join(peers)}", PUBLIC[0] in peers)
    asked = sorted({name for packet in packets for name in packet.asks})
    report.check("names it asked for", ", ".join(asked), named(0) in asked and RESOLVER in peers)
    began, before = seen.mark(), len(calls.odd)
    for turn in range(times):
        await asyncio.gather(*(part.become(KINDS[(turn + n) % len(KINDS)], BYSTANDER) for n, part in enumerate(inner)))
        await asyncio.gather(calls.sovereign(well=False), calls.ordinary(), calls.ordinary())
    packets = seen.packets(since=began)
    gone = strangers(packets, OURS)
    leaked = [packet for packet in gone if SECRET.encode() in packet.data]
    prompts = sum(PROMPT.encode() in packet.data for packet in gone)
    what = f"{len(leaked)} with a sovereign prompt, {prompts} with an ordinary one, of {len(gone)}"
    report.check("packets that left among ordinary calls", what, not leaked and prompts >= times)
    odd = ", ".join(calls.odd[before:]) or "all refused"
    report.check("sovereign calls without a VPC", odd, len(calls.odd) == before)
    redirected = await bystander.counted()
    report.check("connections where redirects lead", redirected, redirected == 0)
