"""Asks backends which models they have, by the way that calls take to them; for the command line, never for a call.

Only backends of the configuration are asked, each at its own address, a sovereign one the sovereign way: inside its
`allow_cidrs`, or not at all. No redirect is followed. A list that has an address of its own, as a provider's row says,
is asked there only where the backend itself is at the provider's. Answers are bounded in size and time, and what is no
list is told as such.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from hybridproxy.model.backend import Credential, Endpoint, Timeouts
from hybridproxy.model.fault import Fault
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.lists import Listed, Lists, count, is_whole, read_list
from hybridproxy.providers.provider import Provider
from hybridproxy.transport.session import GeneralSession, SovereignSession
from hybridproxy.transport.sweep import Sweep
from hybridproxy.transport.upstream import Exchange, Headers, UpstreamRequest

WITHIN: Final = Timeouts(connect=5.0, answer=30.0)
AT_MOST: Final = 60.0
"""Seconds for one list, however it comes."""

MAX_LIST: Final = 16_000_000
"""Bytes of one answer; OpenRouter's list, the longest known, has about one million."""

MAX_PAGES: Final = 50

AT_ONCE: Final = 8

_OK: Final = 200
Answers = dict[str, tuple[Listed, ...] | str]
"""Backend -> its list, or why there is none."""


async def ask_lists(snapshot: Snapshot, names: Collection[str], step: Callable[[int], None]) -> Answers:
    """Ask these backends for their lists.

    Args:
        snapshot: the configuration.
        names: backends to ask.
        step: hears of each that is done.

    """
    sweep = Sweep()
    general, sovereign = GeneralSession(sweep), SovereignSession(sweep)
    turns = asyncio.Semaphore(AT_ONCE)
    answers: Answers = dict.fromkeys(names, "")

    async def one(name: str) -> None:
        async with turns:
            answers[name] = await _ask(snapshot, name, general, sovereign)
        step(1)

    try:
        await asyncio.gather(*map(one, names))
    finally:
        await general.close()
        await sovereign.close()
    return answers


async def _ask(
    snapshot: Snapshot, name: str, general: GeneralSession, sovereign: SovereignSession
) -> tuple[Listed, ...] | str:
    backend, inside = snapshot.backends[name], snapshot.sovereign.get(name)
    provider = PROVIDERS[backend.provider]
    lists = provider.lists
    if lists is None:
        return f"{provider.name} is not known to list its models"
    found = _place(provider, lists, backend.endpoints[0])
    if isinstance(found, str):
        return found
    endpoint, root, path = found
    own = endpoint == backend.endpoints[0]

    def start(request: UpstreamRequest, page: _Page) -> Exchange:
        if inside is None:
            key = _key(backend.credentials[0], lists, own=own)
            return general.start(Target(backend, endpoint, key, "", WITHIN), request, page)
        return sovereign.start(Target(inside, endpoint, inside.credentials[0], "", WITHIN), request, page)

    try:
        async with asyncio.timeout(AT_MOST):
            return await _pages(lists, root, path, (*(backend.headers if own else ()), *lists.headers), start)
    except TimeoutError:
        return f"its list did not come within {AT_MOST:g} s"


async def _pages(
    lists: Lists,
    root: str | None,
    path: str,
    headers: tuple[tuple[str, str], ...],
    start: Callable[[UpstreamRequest, "_Page"], Exchange],
) -> tuple[Listed, ...] | str:
    """Return a whole list, of pages that are asked for one after the other.

    A part of a list is none: what is on the rest would look gone.
    """
    listed: list[Listed] = []
    entries = 0
    for number in range(1, MAX_PAGES + 1):
        query = f"{'&' if '?' in path else '?'}{lists.page}={number}" if lists.page else ""
        page = _Page()
        request = UpstreamRequest(path + query, b"", stream=False, method="GET", headers=headers, root=root)
        page.exchange = start(request, page)
        try:
            raw = await page.done
        finally:
            page.exchange.cancel()
        if isinstance(raw, str):
            return raw
        try:
            body: Any = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return "its list is not JSON"
        found, more = read_list(lists, body), count(lists, body)
        if found is None:
            return "its answer is no list of models"
        listed += found
        entries += more
        if is_whole(lists, body, entries):
            return tuple(listed) or "its list is empty"
        if not more:
            break
    return f"its list ended after {entries} entries, before its end"


def _place(provider: Provider, lists: Lists, endpoint: Endpoint) -> tuple[Endpoint, str | None, str] | str:
    """Return where the list is (an endpoint, the root there if it is not the endpoint's own, a path), or why not."""
    if lists.dialect is not None:
        return endpoint, provider.wires[lists.dialect].root_at(endpoint.base_path), lists.path
    if lists.path.startswith("/"):
        return endpoint, None, ("" if endpoint.base_path.endswith(provider.root) else provider.root) + lists.path
    if endpoint.host not in {urlsplit(site).hostname for site in provider.sites.values()}:
        return f"the list of {provider.name} is elsewhere, and so is this backend"
    url = urlsplit(lists.path)
    whole = Endpoint(url.scheme, url.hostname or "", url.port or 443, "")
    return whole, None, url.path + (f"?{url.query}" if url.query else "")


def _key(key: Credential, lists: Lists, *, own: bool) -> Credential:
    """Return what to show: nothing to a list that is elsewhere and asks for nothing."""
    return key if own or not lists.keyless else replace(key, secret="")


class _Page:
    """Takes one list; too long, or anything but a 200, is none."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.done: asyncio.Future[bytes | str] = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._size = 0

    def head(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - the body says all
        """Take the head of the answer."""
        if status != _OK:
            self._give_up(f"it answered with status {status}")

    def body(self, data: bytes) -> None:
        """Take a part of the list."""
        self._size += len(data)
        self._parts.append(data)
        if self._size > MAX_LIST:
            self._give_up(f"its list is longer than {MAX_LIST} bytes")

    def end(self) -> None:
        """Take the end of the list."""
        self._settle(b"".join(self._parts))

    def failed(self, fault: Fault) -> None:
        """Take the news that there is no answer."""
        self._settle(fault.sentence())

    def _give_up(self, why: str) -> None:
        if self.exchange is not None:
            self.exchange.cancel()
        self._settle(why)

    def _settle(self, result: bytes | str) -> None:
        if not self.done.done():
            self.done.set_result(result)
