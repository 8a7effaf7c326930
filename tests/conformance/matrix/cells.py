"""One pair of a dialect and a provider, through a real proxy: every feature, streaming and not."""

import contextlib
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from tests.conformance.matrix.anthropic_caller import AnthropicCaller
from tests.conformance.matrix.asking import Caller, Heard
from tests.conformance.matrix.dashscope_caller import DashScopeCaller
from tests.conformance.matrix.features import FEATURES, Feature, Scene
from tests.conformance.matrix.openai_caller import OpenAICaller
from tests.conformance.matrix.responses_caller import ResponsesCaller
from tests.support.paired import MODEL, Pair, paired

CALLERS: Final[dict[str, Caller]] = {
    caller.dialect: caller for caller in (OpenAICaller(), AnthropicCaller(), DashScopeCaller(), ResponsesCaller())
}
RESULTS: Final = Path(__file__).with_name("results.jsonl")
PASSED: Final = "passed"
INSIDE: Final = "error inside"

NOT_IMITATED: Final = "the provider speaks the dialect itself, which the simulator does not imitate yet"

KNOWN: Final[dict[tuple[str, str], str]] = {
    ("gemini", "tools"): "Gemini gives each call of a tool whole",
}
"""What does not work and is not refused or named by the proxy: (provider, feature) -> why, in every dialect."""


async def run_pair(folder: Path, dialect: str, provider: str) -> dict[str, str]:
    """Call every feature; return `feature` and `feature, streamed` -> `passed`, or why not."""
    found: dict[str, str] = {}
    async with paired(folder, provider) as pair:
        for feature in FEATURES:
            for stream in (False, True):
                name = f"{feature.name}, streamed" if stream else feature.name
                found[name] = await _cell(pair, CALLERS[dialect], feature, stream=stream)
    return found


async def _cell(pair: Pair, caller: Caller, feature: Feature, *, stream: bool) -> str:
    if absent := caller.absent.get(feature.name):
        return absent
    if feature.status:
        pair.fails(feature.status, too_long=feature.too_long)
    else:
        pair.simulator.behave(feature.behaviour)
    path, headers, body = caller.request(feature.ask, MODEL, stream=stream)
    async with pair.stack.post(path, headers=headers, data=orjson.dumps(body)) as response:
        raw = b""
        with contextlib.suppress(aiohttp.ClientPayloadError):  # a stream that broke ends without HTTP's own end
            async for part in response.content.iter_any():
                raw += part
        heard = caller.hear(response.status, raw, stream=stream)
        heard.dropped = response.headers.get("x-hybridproxy-dropped", "")
    if "does not answer POST" in heard.message:
        return NOT_IMITATED
    wanted = caller.errors.get(f"{feature.name}, streamed" if stream else feature.name, caller.errors.get(feature.name))
    if wanted is not None:
        return _error(heard, *wanted, begun=stream and feature.name == "cut")
    if feature.name == INSIDE:
        return _inside(heard, stream=stream)
    if heard.status == 400 and heard.message:
        return f"refused: {heard.message}"
    if heard.error is not None:
        return f"error: {heard.status} {heard.error}: {heard.message}"
    entries = pair.simulator.upstream.journal.entries
    wrong = feature.check(Scene(feature.ask, heard, entries[-1], pair.simulator.name, stream))
    if wrong is None:
        return PASSED
    if heard.dropped:
        return f"dropped: {heard.dropped}"
    return KNOWN.get((pair.provider, feature.name), f"wrong: {wrong}")


def _error(heard: Heard, status: int, error: str, *, begun: bool) -> str:
    """Judge an error; one that comes within a stream has the status of a success."""
    found = (heard.status, heard.error, heard.whole)
    wanted = (200 if begun else status, error, False)
    return PASSED if found == wanted else f"wrong: {found} in place of {wanted}"


def _inside(heard: Heard, *, stream: bool) -> str:
    """Judge an error that the upstream tells within a success; what kind it is depends on the provider."""
    told = heard.status == 200 if stream else heard.status >= 400
    return PASSED if told and heard.error and not heard.whole else f"wrong: {(heard.status, heard.error, heard.whole)}"


def bad(results: dict[str, str]) -> dict[str, str]:
    """Return the cells in which something is lost in silence."""
    return {name: found for name, found in results.items() if found.startswith(("wrong:", "error:"))}


def known() -> dict[tuple[str, str], dict[str, str]]:
    """Return the results that were kept: dialect and provider -> cells."""
    lines = [orjson.loads(line) for line in RESULTS.read_bytes().splitlines()] if RESULTS.exists() else []
    return {(line["dialect"], line["provider"]): line["cells"] for line in lines}


def keep(results: dict[tuple[str, str], dict[str, str]]) -> None:
    """Write results in place of those before."""
    lines = [
        {"dialect": dialect, "provider": provider, "cells": cells} for (dialect, provider), cells in results.items()
    ]
    RESULTS.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
