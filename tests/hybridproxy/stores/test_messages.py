"""What goes to Redis and comes from it: opaque, bounded, and believed only in its right form."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.health import backend_key
from hybridproxy.resilience.breaker import MAX_COOL_OFF, Phase, Rules
from hybridproxy.resilience.shares import LARGEST
from hybridproxy.stores.marks import MAX_REASON, Mark, MarkKind
from hybridproxy.stores.messages import (
    KINDS,
    MAX_NUMBER,
    MAX_SHARED,
    PoisonedError,
    Reply,
    SharedLimits,
    Verdicts,
    digest,
    mark_id,
    milliseconds,
    parse,
    shared_mark,
)
from hybridproxy.stores.rights import PATIENCE
from tests.hybridproxy.stores.fleet import BRIEF, EPOCH, KEY, OTHER, REDIS_KEY, Fleet, settings
from tests.support.redis_servers import RedisServer

NAME = "0123456789abcdef"
SHARES: dict[str, object] = {
    "generation": 1_800_000_000_000,
    "known": 3,
    "junk": 0,
    "limits": {NAME: "9007199254740991 50 40 0 4503599627370496"},
    "full": f"{NAME} {NAME[::-1]}",
}
GOOD = {
    "now": 1_800_000_000_000,
    "live": 2,
    "junk": 0,
    "targets": {NAME: ["open", 4500, 1_800_000_000_000, "c"]},
    "cools": {NAME: 2500},
    "marks": {f"{NAME} D": [1_800_000_000_000, 1_800_000_001_500, "off for %C3%BC"]},
    "granted": {NAME: 1_800_000_000_001},
    "renewed": {NAME: 1},
    "shares": SHARES,
}
BAD_NUMBERS: list[object] = [-1, 1.5, MAX_NUMBER, True, None, "7", [], {}]


def test_an_answer_is_read() -> None:
    """All parts, with times in seconds and a reason as it was written."""
    assert parse(orjson.dumps(GOOD)) == Reply(
        now=1_800_000_000_000,
        live=2,
        junk=0,
        targets={NAME: Verdicts("open", 4.5, 1_800_000_000_000, unreachable=True)},
        cools={NAME: 2.5},
        marks={f"{NAME} D": (1_800_000_000_000, 1_800_000_001.5, "off for ü")},
        granted={NAME: 1_800_000_000_001},
        renewed=frozenset({NAME}),
        shares=SharedLimits(
            1_800_000_000_000, 3, 0, {NAME: (LARGEST, 50, 40, 0, LARGEST)}, frozenset({NAME, NAME[::-1]})
        ),
    )


def test_limits_may_be_left_out_and_may_be_unusable() -> None:
    """Neither spoils the rest."""
    assert parse(orjson.dumps(GOOD | {"shares": None})).shares is None
    reply = parse(orjson.dumps(GOOD | {"shares": 0}))
    assert (reply.shares, reply.shares_fit, reply.live) == (None, False, 2)


def test_times_from_redis_are_bounded() -> None:
    """However long a target is said to stay away, it is not believed beyond the bound."""
    reply = parse(orjson.dumps(GOOD | {"targets": {NAME: ["open", 10**13, 1, "f"]}, "cools": {NAME: 10**13}}))
    assert (reply.targets[NAME].seconds, reply.cools[NAME]) == (MAX_SHARED, MAX_SHARED)


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize("place", ["now", "live", "junk", "left", "epoch", "cool", "version", "until", "granted"])
def test_numbers_that_are_none_are_refused(place: str, bad: object) -> None:
    """Negative, broken, giant or of another kind: the whole answer is not believed."""
    places: dict[str, dict[str, object]] = {
        "left": {"targets": {NAME: ["open", bad, 1, "f"]}},
        "epoch": {"targets": {NAME: ["open", 1, bad, "f"]}},
        "cool": {"cools": {NAME: bad}},
        "version": {"marks": {NAME: [bad, 1, ""]}},
        "until": {"marks": {NAME: [1, bad, ""]}},
        "granted": {"granted": {NAME: bad}},
    }
    with pytest.raises(PoisonedError):
        parse(orjson.dumps(GOOD | places.get(place, {place: bad})))


@pytest.mark.parametrize(
    "changed",
    [
        {"targets": []},
        {"targets": {NAME: ["ajar", 1, 1, "f"]}},
        {"targets": {NAME: ["open", 1, 1]}},
        {"targets": {NAME * 2: ["open", 1, 1, "f"]}},
        {"targets": {NAME: 7}},
        {"marks": {NAME: [1, 1, 7]}},
        {"renewed": 7},
        {"shares": 7},
        {"shares": {"known": 1}},
        {"shares": SHARES | {"limits": {NAME: "1 2 3 4"}}},
        {"shares": SHARES | {"limits": {NAME: "1 2 3 4 -5"}}},
        {"shares": SHARES | {"limits": {NAME: "1 2 3 4 5e3"}}},
        {"shares": SHARES | {"limits": {NAME: f"1 2 3 4 {10**17}"}}},
        {"shares": SHARES | {"full": "x" * 30}},
        {"shares": SHARES | {"known": -1}},
    ],
    ids=str,
)
def test_other_forms_are_refused(changed: dict[str, object]) -> None:
    """Another shape is not believed either."""
    with pytest.raises(PoisonedError):
        parse(orjson.dumps(GOOD | changed))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_whatever_stands_in_an_answer_it_is_read_or_refused(place: str, found: object) -> None:
    """Nothing else can happen."""
    try:
        assert isinstance(parse(orjson.dumps(GOOD | {place: found}, option=orjson.OPT_NON_STR_KEYS)), Reply)
    except PoisonedError:
        return


@given(st.binary() | st.none() | st.integers() | st.lists(st.binary()))
def test_what_is_no_answer_is_refused(answer: object) -> None:
    """Other types of Redis and bytes that are no JSON."""
    with pytest.raises(PoisonedError):
        parse(answer)


def test_digests_tell_apart_what_differs() -> None:
    """Sixteen hexadecimal digits, of the parts and where they end."""
    assert digest(["a", "bc"]) != digest(["ab", "c"])
    assert len(digest(["a"])) == 16
    assert digest(["a"], 8) == digest(["a"])[:8]


def test_every_kind_of_mark_has_its_letter() -> None:
    """And is found by it."""
    assert set(KINDS.values()) == set(MarkKind)


@given(st.text(max_size=MAX_REASON))
def test_a_reason_goes_through_in_printable_ascii(reason: str) -> None:
    """Whatever an operator writes, Redis holds none of the characters that would need care."""
    mark = Mark(("backend", "b"), MarkKind.DRAIN, reason.encode(errors="replace").decode(), 100.0, 5)
    version, until, sent = shared_mark(mark)
    assert sent.isascii()
    assert sent.isprintable() or not sent
    answer = GOOD | {"marks": {mark_id(mark): [version, until, sent]}}
    assert parse(orjson.dumps(answer)).marks == {mark_id(mark): (5, 100.0, mark.reason)}


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1.0, 0), (0.0015, 1), (2.5, 2500), (1e9, 5000), (float("inf"), 5000)]
)
def test_milliseconds_are_bounded(seconds: float, expected: int) -> None:
    """Between nothing and the most."""
    assert milliseconds(seconds, 5.0) == expected


# ---- what the script makes of it ----

NOW = int(EPOCH * 1000)
TARGET = digest(KEY)
YEAR_9999 = 253402300799000
POISON: dict[str, dict[str | bytes, str | bytes]] = {
    "year 9999": {f"t {TARGET}": f"open {YEAR_9999} {NOW} 0 0 - f", f"c {TARGET}": str(YEAR_9999)},
    "year 9999 marks": {f"m {digest(backend_key(KEY[0]))} D": f"{YEAR_9999} {YEAR_9999} x"},
    "year 9999 worker": {"w 0000000000000077": str(YEAR_9999)},
    "future vote": {f"v {TARGET} 77": f"{YEAR_9999} {YEAR_9999} 1 aaaaaaaa,bbbbbbbb"},
    "giant": {f"t {TARGET}": "9" * 1_000_000, "x" * 1_000_000: "1", f"m {TARGET} D": f"1 {NOW} " + "r" * 100_000},
    "binary": {b"t \xff\x00\n": b"\x00\xfe\r\n", f"c {TARGET}": b"\x80\x81", b"\x00": b"\x00"},
    "negative": {f"t {TARGET}": f"open -5 -{NOW} 0 0 - f", f"c {TARGET}": "-9"},
    "no number": {f"t {TARGET}": "open nan inf 0 0 - f", f"c {TARGET}": "nan", "w 77": "1e300"},
    "unknown": {f"q {TARGET}": "1", "t": "1", f"t {TARGET} x": "closed", f"t {TARGET}": "ajar 1 1 1 1 - f"},
    "digits": {f"t {TARGET}": f"open {'9' * 400} {NOW} 0 0 - f", f"c {TARGET}": "9" * 400},
}


@pytest.mark.parametrize("name", POISON)
async def test_poison_is_removed_and_believed_by_nobody(server: RedisServer, name: str) -> None:
    """What no worker wrote changes no state; it is gone after one sync, counted, and told once."""
    async with Fleet(settings(server.address), 2) as fleet:
        first, second = fleet.workers
        second.find_out(OTHER, tenants=("a",))
        await fleet.sync()
        before = [worker.health.states() for worker in fleet.workers]
        for field, value in POISON[name].items():
            server.ask("HSET", REDIS_KEY, field, value)
        await fleet.sync()
        await fleet.sync()
        assert [worker.health.states() for worker in fleet.workers] == before
        assert not first.health.view
        assert first.shared.poisoned == len(POISON[name])
        assert [event for event, _ in first.events] == ["redis.poisoned"]
        assert not set(map(_bytes, POISON[name])) & set(server.ask("HKEYS", REDIS_KEY))  # type: ignore[call-overload]


async def test_well_formed_lies_only_keep_calls_away_for_a_bounded_time(server: RedisServer) -> None:
    """The longest opening, cool-off and lease that the form allows, and a closing of what we found out ourselves."""
    async with Fleet(settings(server.address), 1, rules=Rules(5.0, 15.0)) as fleet:
        (worker,) = fleet.workers
        now = int(fleet.clock.wall() * 1000)
        worker.find_out(OTHER, tenants=("a",))
        end = now + int(MAX_SHARED - 1) * 1000
        server.ask("HSET", REDIS_KEY, f"t {TARGET}", f"open {end} {now} 0 0 - c")
        server.ask("HSET", REDIS_KEY, f"c {TARGET}", end)
        old = now - 10_000
        server.ask("HSET", REDIS_KEY, f"t {digest(OTHER)}", f"closed {old + 60000} {old} 0 0 - -")
        assert await worker.sync()
        state = worker.health.state(KEY)
        assert state.phase is Phase.OPEN
        assert state.until - fleet.clock.now <= 18.0
        assert state.cool_until - fleet.clock.now <= MAX_COOL_OFF
        assert worker.phase(OTHER) is Phase.OPEN


@pytest.mark.parametrize("command", [("SET", REDIS_KEY, "x"), ("RPUSH", REDIS_KEY, "x"), None], ids=str)
async def test_a_key_of_another_sort_is_redis_gone(server: RedisServer, command: tuple[str, ...] | None) -> None:
    """A string, a list or far too many fields: nothing is believed or overwritten, and it is told once."""
    async with Fleet(settings(server.address), 1, rules=BRIEF) as fleet:
        (worker,) = fleet.workers
        if command is None:
            server.ask("HSET", REDIS_KEY, *range(9000))
        else:
            server.ask(*command)
        worker.find_out()
        for _ in range(3):
            assert not await worker.sync()
        assert (worker.shared.up, worker.shared.poisoned) == (False, 3)
        assert [event for event, _ in worker.events] == ["redis.poisoned", "redis.lost"]
        fleet.clock.pass_(PATIENCE)
        assert await worker.rights.take(KEY, 5) == 1
        server.ask("DEL", REDIS_KEY)
        assert await worker.sync()
        assert worker.events[-1][0] == "redis.found"


def _bytes(field: str | bytes) -> bytes:
    return field if isinstance(field, bytes) else field.encode()
