"""The same that workers say of limits, put to the memory's form of the rule and to the script in a real server."""

from typing import Any

import orjson
import redis

from hybridproxy.resilience.agreement import Agreed, sync
from hybridproxy.resilience.shares import Heard, Kind, Row, Said, Share
from hybridproxy.stores.messages import Request, SharedLimits, parse
from hybridproxy.stores.shared import SCRIPT

KEYS = ("{hp:default}:health", "{hp:default}:shares", "{hp:default}:spend:1")
CLOCK = "local clock = redis.call('TIME')"
AT_WILL = SCRIPT.text.replace(CLOCK, "local clock = {math.floor(sent.time / 1000), sent.time % 1000 * 1000}")
"""The script, by a clock that the test sets."""

assert SCRIPT.text != AT_WILL


def said_of(told: dict[str, Any], worker: str) -> Said:
    """Return what a worker says, as the memory's form takes it."""
    rows = tuple(Row(row[0], Kind(row[1]), *row[2:]) for row in told["rows"])
    return Said(
        worker, told["name"], told["spender"], told["seq"], told["generation"], told["known"], bool(told["bye"]), rows
    )


def told_of(said: Said) -> dict[str, Any]:
    """Return the same as it is sent."""
    rows = [
        (row.id, row.kind.value, row.limit, row.keep, row.used, row.want, row.spent, row.began, row.left,
         row.generation, row.gone, row.all)
        for row in said.rows
    ]  # fmt: skip
    return {
        "name": said.name, "spender": said.spender, "seq": said.seq, "generation": said.generation,
        "known": said.known, "bye": int(said.bye), "rows": rows,
    }  # fmt: skip


def in_redis(client: redis.Redis, worker: str, told: dict[str, Any], now: int) -> SharedLimits:
    """Let the script take what a worker says at a time."""
    request = orjson.loads(Request(worker, {}, {}, {}, {}, {}, {}, {}, told).encoded())
    answer = client.eval(AT_WILL, len(KEYS), *KEYS, orjson.dumps(request | {"time": now}))
    reply = parse(answer)
    assert reply.shares_fit
    assert reply.shares is not None
    return reply.shares


def in_memory(agreed: Agreed, worker: str, told: dict[str, Any], now: int) -> SharedLimits:
    """Let the memory take it."""
    return shared_of(sync(agreed, said_of(told, worker), now))


def shared_of(heard: Heard) -> SharedLimits:
    """Return what the memory's form says as it comes from Redis."""
    limits = {name: (one.held, one.goal, one.spent, one.gone, one.all) for name, one in heard.shares.items()}
    return SharedLimits(heard.generation, heard.known, 0, limits, frozenset(heard.full))


def heard_of(shared: SharedLimits) -> Heard:
    """Return what comes from Redis as the memory's form says it."""
    shares = {name: Share(*found) for name, found in shared.limits.items()}
    return Heard(shared.generation, shared.known, shares, tuple(sorted(shared.full)))
