"""Which endpoint of a backend a call goes to, where there are several: a pure order, of which health takes away.

A conversation returns to the endpoint that holds its KV cache. Its bond is a hash of the tenant, the model and the
conversation's beginning, up to the first message of the user: what stays the same from turn to turn. Rendezvous hashing
(Thaler and Ravishankar, 1998) turns the bond into an order of the endpoints: the first is its home, and where that is
out the conversation goes to its second, the same each time; no other conversation moves. Every replica finds the same.

Overload breaks the bond. An endpoint is overloaded when with this call it would have more than `FACTOR` times the
average and `SLACK` calls more than that (bounded loads: Mirrokni, Thorup and Zadimoghaddam, 2018; the factor is that of
vllm-router 0.1 and sglang-router 0.3, which have an absolute part, too: a batch takes some calls more at no cost), or
when its engine says that `QUEUED` calls wait there or that its KV cache is `FULL`, while not all engines say so. It
then comes behind the others of the order.

What has no beginning to go by, such as embeddings, goes to the less loaded of two random endpoints (power of two
choices: Mitzenmacher, 2001), since several replicas that each took the least loaded would all take the same one.

The load of an endpoint is what its engine said last, and what this process began and ended there since. Without a word
of its engine within `STALE` seconds it is the calls of this process, but where other engines speak no less than their
average: an engine that does not answer is hardly idle.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from hybridproxy.model.backend import Endpoint
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.load import EndpointKey, Loads
from hybridproxy.model.value import value
from hybridproxy.routing.scores import Rng

FACTOR: Final = 1.5
SLACK: Final = 8
"""Calls."""

QUEUED: Final = 4
FULL: Final = 0.95
STALE: Final = 5.0
"""Seconds; an engine is asked each second."""

MAX_MESSAGES, MAX_PARTS, MAX_TEXT = 8, 4, 512
"""Of a conversation's beginning so many messages, of each so many parts, of each so many characters and the length."""

_BITS: Final = (1 << 64) - 1
_SPREAD, _CHANCE = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
"""Odd numbers, so that no two bonds become one; the first is 2^64 divided by the golden ratio."""


@value
class Place:
    """One endpoint: what its load is kept under, and its part in the hash."""

    key: EndpointKey
    seed: int


def places_of(backend: str, endpoints: Sequence[Endpoint]) -> tuple[Place, ...]:
    """Return the places of a backend with several endpoints; one endpoint is no choice."""
    if len(endpoints) == 1:
        return ()
    return tuple(Place((backend, e.authority), _hash(f"{e.scheme}://{e.authority}{e.base_path}")) for e in endpoints)


def bond_of(tenant: str, call: Call) -> int | None:
    """Return what binds a call to the endpoint that its conversation was at; None where nothing does."""
    if call.operation is Operation.EMBEDDING:
        return None
    if call.operation is Operation.COMPLETION:
        prompt = call.body.get("prompt")
        # a shorter one may grow with the next turn, and what is before a cache is worth anything
        said = [prompt[:MAX_TEXT]] if type(prompt) is str and len(prompt) >= MAX_TEXT else []
    else:
        said = []
        for message in (call.body.get("messages") or ())[:MAX_MESSAGES]:
            said.append(_beginning(message.get("content")))
            if message.get("role") == "user":
                break
    return _hash("\0".join((tenant, call.model, *said))) if said else None


def _beginning(content: Any) -> str:
    if type(content) is str:
        return f"{len(content)}:{content[:MAX_TEXT]}"
    if type(content) is list:
        return "".join(_beginning(part.get("text")) for part in content[:MAX_PARTS] if type(part) is dict)
    return ""


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def chance_of(bond: int) -> float:
    """Return a number in [0, 1) that a conversation keeps: so it comes back to an endpoint's ramp once, and stays."""
    return ((bond * _CHANCE) & _BITS) / (_BITS + 1)


def order(places: Sequence[Place], loads: Loads, bond: int | None, now: float, rng: Rng) -> list[int]:
    """Return the numbers of all places in the order to try them.

    Args:
        places: those of one backend, at least two.
        loads: what is known of their load.
        bond: what binds the call, None: nothing does.
        now: seconds on the clock of the readings.
        rng: chance, for calls without a bond.

    """
    work, full = _work(places, loads, now)
    if bond is None:
        return _less_loaded(work, full, rng)
    weights = [(bond ^ place.seed) * _SPREAD & _BITS for place in places]
    ranked = sorted(range(len(places)), key=weights.__getitem__, reverse=True)
    if max(work) < SLACK and not full:
        return ranked
    average = (sum(work) + 1) / len(work)
    most = max(FACTOR * average, average + SLACK)
    if len(full) == len(places):
        full = set()
    return sorted(ranked, key=lambda n: n in full or work[n] + 1 > most)


def _less_loaded(work: Sequence[float], full: set[int], rng: Rng) -> list[int]:
    count = len(work)
    one = int(rng.random() * count)
    other = (one + 1 + int(rng.random() * (count - 1))) % count
    if (other in full, work[other]) < (one in full, work[one]):
        one, other = other, one
    rest = [number % count for number in range(other + 1, other + count)]
    return [one, other, *[number for number in rest if number != one]]


def _work(places: Sequence[Place], loads: Loads, now: float) -> tuple[list[float], set[int]]:
    """Return about how many calls each place has, and which of them have no room."""
    ours, readings = loads.ours, loads.readings
    if not readings:
        return [ours.get(place.key, 0) for place in places], set()
    work: list[float] = []
    full: set[int] = set()
    unread: list[int] = []
    oldest = now - STALE
    for place in places:
        own = ours.get(place.key, 0)
        reading = readings.get(place.key)
        if reading is None or reading.at < oldest:
            unread.append(len(work))
            work.append(own)
            continue
        if reading.waiting >= QUEUED or reading.usage >= FULL:
            full.add(len(work))
        told = reading.running + reading.waiting + own - reading.ours
        work.append(max(own, told))
    if unread and len(unread) < len(places):
        average = sum(told for n, told in enumerate(work) if n not in unread) / (len(work) - len(unread))
        for n in unread:
            work[n] = max(work[n], average)
    return work, full
