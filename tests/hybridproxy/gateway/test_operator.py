"""The operator's orders over a real health store, and what is shown of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import hybridproxy.gateway.operator as module
from geo.database import CountryDatabase
from geo.locate import Locator
from hybridproxy.config.load import load
from hybridproxy.gateway.explain import explain
from hybridproxy.gateway.operator import (
    ORDERS,
    EmptyRegionError,
    Operator,
    OperatorError,
    UnknownNameError,
    reason_of,
    seconds_of,
)
from hybridproxy.gateway.running import Running
from hybridproxy.model.fault import FACTS, Fault, FaultKind, Verdict
from hybridproxy.model.health import HealthKey, backend_key, credential_key, region_key
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import Outcome, Phase, Signal
from hybridproxy.stores.marks import Mark, MarkKind
from hybridproxy.stores.memory import MemoryHealth

CONFIG = """
regions: {asia: {continents: [AS]}, north-america: {countries: [US]}, default: {}}
backends:
  sg: {provider: openai, base_url: "https://sg.example/v1", api_keys: ["${K}", "${L}"], region: asia}
  us: {provider: openai, base_url: "https://us.example/v1", api_key: "${K}"}
  vpc: {provider: vllm, trust: vpc, endpoints: ["https://10.0.3.1"], allow_cidrs: [10.0.3.0/24], region: asia}
models: {qwen: {family: qwen3, served_by: {sg: q, us: q, vpc: q}}}
routes: {default: {regions: {asia: [sg, us], default: [us, sg]}}}
tenants:
  shop: {keys: ["sha256:KEY1"], models: ["*"]}
  bank: {keys: ["sha256:KEY2"], residency: vpc}
"""

SG: HealthKey = ("sg", "sg.example", "q", "sg#1.bd26e0")
SG_2: HealthKey = ("sg", "sg.example", "q", "sg#2.249de9")
US: HealthKey = ("us", "us.example", "q", "us#1.bd26e0")
DAY = 86_400
START = 1_790_000_000.0
"""Seconds since the epoch: 2026-09-21T14:13:20Z."""


def configured(folder: Path, text: str = CONFIG) -> Running:
    """Return a configuration in force."""
    file = folder / "hybridproxy.yaml"
    file.write_text(text.replace("KEY1", "11" * 32).replace("KEY2", "22" * 32))
    configuration = load(file, {"K": "secret-of-tests", "L": "other-secret-of-tests"})
    return Running(configuration.snapshot, configuration.settings, Locator(CountryDatabase.open(None)))


class World:
    """A worker's health, its clocks, its configuration, its log and its operator."""

    def __init__(self, running: Running) -> None:
        self.time = 1000.0
        self.running = running
        self.sharing: dict[str, Any] | None = None
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.health = MemoryHealth(lambda: self.time, self.wall, lambda: 0.5)
        self.operator = Operator(
            self.health,
            running=lambda: self.running,
            shared=lambda: self.sharing,
            under_way=lambda: {"calls": 3},
            limits=lambda: {"limits": []},
            pressure=lambda: {"reasons": ["lag"]},
            log=lambda event, **fields: self.logged.append((event, fields)),
            now=lambda: self.time,
            wall=self.wall,
        )

    def wall(self) -> float:
        return START + self.time - 1000

    def state(self) -> dict[str, Any]:
        """Return the state as it goes out."""
        shown: dict[str, Any] = orjson.loads(orjson.dumps(self.operator.state()))
        return shown

    def backend(self, name: str) -> dict[str, Any]:
        """Return what the state says of a backend."""
        (found,) = [backend for backend in self.state()["backends"] if backend["id"] == name]
        assert isinstance(found, dict)
        return found

    def target(self, key: HealthKey) -> dict[str, Any]:
        """Return what the state says of a target."""
        (found,) = [
            t for t in self.backend(key[0])["targets"] if (t["endpoint"], t["model"], t["credential"]) == key[1:]
        ]
        assert isinstance(found, dict)
        return found

    def fail(self, key: HealthKey, kind: FaultKind = FaultKind.OVERLOADED, times: int = 1, **more: Any) -> None:
        """Let a target fail."""
        for _ in range(times):
            facts = FACTS[kind]
            self.health.note(key, Outcome(Signal.START, facts.verdict, facts.text, **more), Fault(kind))

    def goes_to(self, tenant: str = "shop", address: str = "165.21.83.88") -> list[str]:
        """Return the backends that a call from Singapore would be sent to."""
        described = {"tenant": tenant, "model": "qwen", "address": address}
        answer = explain(self.running, described, health=self.health.view, now=self.time)
        return list(dict.fromkeys(attempt["backend"] for attempt in answer.get("attempts", [])))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, as the prober sees it pass."""
        self.time += seconds
        self.health.tick()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A worker with the configuration above."""
    return World(configured(tmp_path))


def test_a_drained_backend_gets_no_new_calls_until_it_is_undrained(world: World) -> None:
    """The order holds at once, says until when, and is logged in the past tense; so is its end."""
    done = world.operator.give("drain", "sg", " maintenance ", "30m")
    out = {"why": "drained", "reason": "maintenance", "until": "2026-09-21T14:43:20Z"}
    assert (done.id, done.changed, done.out, done.backends, done.shared) == ("sg", True, out, ("sg",), None)
    assert done.message.startswith("backend sg is drained until 2026-09-21T14:43:20Z: no new calls")
    assert world.goes_to() == ["us"]
    assert world.backend("sg")["out"] == out
    assert world.backend("us")["out"] is None
    assert world.state()["marks"] == [{"backend": "sg", **out}]

    done = world.operator.give("undrain", "sg", "done")
    assert (done.changed, done.message, done.out) == (True, "backend sg is no longer drained", None)
    assert world.goes_to() == ["sg", "us"]
    assert world.logged == [
        (
            "backend.drained",
            {"id": "sg", "reason": "maintenance", "until": "2026-09-21T14:43:20Z", "shared": None},
        ),
        ("backend.undrained", {"id": "sg", "reason": "done", "until": None, "shared": None}),
    ]


@pytest.mark.parametrize("order", ["drain", "trip"])
def test_what_is_out_comes_back_by_itself(order: str, world: World) -> None:
    """Nobody has to remember an order: without a word it lasts an hour."""
    done = world.operator.give(order, "sg", "forgotten")
    assert done.out is not None
    assert done.out["until"] == "2026-09-21T15:13:20Z"
    world.pass_time(3599)
    assert world.goes_to() == ["us"]
    world.pass_time(2)
    assert world.goes_to() == ["sg", "us"]
    assert world.backend("sg")["out"] is None
    assert world.state()["marks"] == []


@pytest.mark.parametrize(
    ("order", "name", "says"),
    [
        ("undrain", "sg", "nothing to do: backend sg is not drained"),
        ("reset", "sg", "nothing to do: backend sg has nothing held against it"),
        ("restore", "asia", "nothing to do: region asia is not evacuated"),
        ("restore", "default", "nothing to do: region default is not evacuated"),
    ],
)
def test_nothing_to_do_is_no_mistake(order: str, name: str, says: str, world: World) -> None:
    """An order that came too late is answered, not refused."""
    done = world.operator.give(order, name)
    assert (done.changed, done.message, done.out) == (False, says, None)
    assert [event for event, _ in world.logged if event != "backend.reset"] == []


def test_an_order_may_be_given_again(world: World) -> None:
    """The newest word holds, also where it is the shorter one."""
    world.operator.give("drain", "sg", "long", "4h")
    done = world.operator.give("drain", "sg", "short", "5m")
    assert done.out == {"why": "drained", "reason": "short", "until": "2026-09-21T14:18:20Z"}
    assert len(world.state()["marks"]) == 1


def test_a_tripped_backend_comes_back_by_check_probes_and_ramp(world: World) -> None:
    """Its known targets are open until the end, and then are not fit before they proved it."""
    world.health.good(SG, Signal.START)
    done = world.operator.give("trip", "sg", "wrong answers", "15m")
    assert done.message == (
        "backend sg is tripped until 2026-09-21T14:28:20Z; then it comes back by a check, probes and a ramp"
    )
    assert world.logged[-1][0] == "backend.tripped"
    target = world.target(SG)
    assert (target["phase"], target["admits"], target["reason"]) == ("open", "none", "open: tripped by an operator")
    assert target["open_until"] == "2026-09-21T14:28:20Z"
    assert world.goes_to() == ["us"]

    world.pass_time(901)
    assert world.backend("sg")["out"] is None
    assert world.target(SG)["admits"] == "none"
    world.health.step(SG, breaker.Leased(1, world.time + 30))
    assert (world.target(SG)["phase"], world.target(SG)["admits"]) == ("half-open", "none")
    world.health.step(SG, breaker.Checked(1, passed=True))
    assert world.target(SG)["admits"] == "probe"
    for _ in range(breaker.PROBES_TO_CLOSE):
        assert world.health.enter((), SG) == (True, 1)
        world.health.note(SG, Outcome(Signal.START, Verdict.OK, epoch=1))
    target = world.target(SG)
    assert (target["phase"], target["admits"], target["ramp"]) == ("closed", "ramp", 0.1)
    assert target["reason"] == "coming back by a ramp"
    world.pass_time(31)
    assert world.backend("sg")["targets"] == []


def test_reset_forgets_all_but_a_drain(world: World) -> None:
    """A trip, refused keys, breakers, cool-offs and ramps are over; what was drained still is, and is told."""
    third: HealthKey = ("sg", "sg.example", "another", "sg#1.bd26e0")
    fourth: HealthKey = ("sg", "sg.example", "a-third", "sg#1.bd26e0")
    world.fail(SG_2, FaultKind.CREDENTIAL)
    world.fail(third, FaultKind.FORBIDDEN)
    world.fail(third, FaultKind.THROTTLED, wait=60.0)
    world.fail(SG, times=5)
    world.fail(fourth, times=5)
    world.health.step(fourth, breaker.HeardClosed(7))
    world.fail(US, times=5)
    world.operator.give("drain", "sg", "maintenance", "2h")
    assert world.target(SG_2)["reason"] == "quarantined: our key was refused"
    assert world.target(third)["reason"] == "quarantined: access was denied"
    assert world.target(third)["cooling_until"] == "2026-09-21T14:14:20Z"
    assert world.target(fourth)["ramp"] == 0.1

    done = world.operator.give("reset", "sg", "new key")
    assert done.forgot == {"trips": 0, "quarantines": 2, "breakers": 1, "cool_offs": 1, "ramps": 1}
    assert done.message == (
        "backend sg is reset: forgot quarantines: 2, breakers: 1, cool_offs: 1, ramps: 1; "
        "it is drained until 2026-09-21T16:13:20Z: maintenance"
    )
    assert done.out is not None
    assert done.out["why"] == "drained"
    assert world.logged[-1] == ("backend.reset", {"id": "sg", "reason": "new key", "until": None, "shared": None})
    assert world.backend("sg")["targets"] == []
    assert world.target(US)["phase"] == "open"
    world.operator.give("undrain", "sg")
    assert world.goes_to() == ["sg"]


def test_reset_ends_a_trip(world: World) -> None:
    """It gets its calls back at once."""
    world.health.good(SG, Signal.START)
    world.operator.give("trip", "sg", "a mistake")
    done = world.operator.give("reset", "sg")
    assert done.forgot == {"trips": 1, "quarantines": 0, "breakers": 1, "cool_offs": 0, "ramps": 0}
    assert done.out is None
    assert world.goes_to() == ["sg", "us"]
    assert world.health.state(SG).phase is Phase.CLOSED


def test_a_reset_is_told_to_other_replicas_even_where_nothing_is_held_here(world: World) -> None:
    """Another replica may hold something, so the mark is put and the event logged; the answer is about this one."""
    told: list[MarkKind] = []
    world.health.marks.listeners.append(lambda mark, heard: told.append(mark.kind))
    done = world.operator.give("reset", "sg")
    assert not done.changed
    assert told == [MarkKind.RESET]
    assert world.logged[-1][0] == "backend.reset"


def test_an_evacuated_region_gets_no_calls_wherever_the_caller_is(world: World) -> None:
    """It is about where backends lie: callers in Asia go on elsewhere, callers elsewhere no longer go to Asia."""
    assert world.goes_to(address="8.8.8.8") == ["us", "sg"]
    done = world.operator.give("evacuate", "asia", "cable cut", "4h")
    out = {"why": "evacuated", "reason": "cable cut", "until": "2026-09-21T18:13:20Z"}
    assert (done.id, done.out, done.backends) == ("asia", out, ("sg", "vpc"))
    assert done.message == "region asia is evacuated until 2026-09-21T18:13:20Z: no new calls to sg, vpc"
    assert world.goes_to() == ["us"]
    assert world.goes_to(address="8.8.8.8") == ["us"]
    assert world.backend("sg")["out"] == out
    regions = {region["id"]: region for region in world.state()["regions"]}
    assert regions["asia"] == {"id": "asia", "backends": ["sg", "vpc"], "out": out}
    assert regions["default"] == {"id": "default", "backends": [], "out": None}
    assert world.state()["marks"] == [{"region": "asia", **out}]

    done = world.operator.give("restore", "asia")
    assert (done.changed, done.message, done.out) == (True, "region asia is no longer evacuated", None)
    assert world.goes_to() == ["sg", "us"]
    assert [event for event, _ in world.logged] == ["region.evacuated", "region.restored"]


@pytest.mark.parametrize(("order", "name"), [("drain", "vpc"), ("trip", "vpc"), ("evacuate", "asia")])
def test_a_sovereign_tenants_calls_go_nowhere_else(order: str, name: str, world: World) -> None:
    """Out means out: where the cluster is out of service its tenant is refused, and the others are served."""
    assert world.goes_to("bank") == ["vpc"]
    world.operator.give(order, name, "drill")
    assert world.goes_to("bank") == []
    assert "us" in world.goes_to("shop")


def test_of_several_marks_the_longest_is_told(world: World) -> None:
    """Whoever drains what is out for longer already learns that undraining will not be enough."""
    world.operator.give("evacuate", "asia", "cable cut", "4h")
    done = world.operator.give("drain", "sg", "upgrade", "1h")
    assert done.out == {"why": "evacuated", "reason": "cable cut", "until": "2026-09-21T18:13:20Z"}
    assert done.message.endswith("; it is evacuated until 2026-09-21T18:13:20Z: cable cut")
    done = world.operator.give("undrain", "sg")
    assert done.message == ("backend sg is no longer drained; it is evacuated until 2026-09-21T18:13:20Z: cable cut")


@pytest.mark.parametrize(
    ("order", "name", "says"),
    [
        ("drain", "sgp", "there is no backend 'sgp': expected one of: sg, us, vpc; did you mean sg?"),
        ("undrain", "x" * 500, f"there is no backend '{'x' * 64}': expected one of: sg, us, vpc"),
        ("trip", "", "there is no backend '': expected one of: sg, us, vpc"),
        ("reset", "asia", "there is no backend 'asia': expected one of: sg, us, vpc"),
        ("evacuate", "sg", "there is no region 'sg': expected one of: asia, default, north-america"),
        ("restore", "a", "there is no region 'a': expected one of: asia, default, north-america"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_told_with_those_there_are(order: str, name: str, says: str, world: World) -> None:
    """Nothing is put on a name nobody has: a typing error would keep calls away from nothing."""
    with pytest.raises(UnknownNameError) as raised:
        world.operator.give(order, name, "a reason")
    assert str(raised.value) == says
    assert world.state()["marks"] == []
    assert world.logged == []


def test_a_region_without_backends_cannot_be_evacuated(world: World) -> None:
    """It would change nothing while the operator believes it did; the error says which option is missing."""
    with pytest.raises(EmptyRegionError, match="no configured backend lies in region 'north-america'") as raised:
        world.operator.give("evacuate", "north-america", "drill")
    assert "set backends.NAME.region" in str(raised.value)
    assert world.state()["marks"] == []


def test_what_is_not_configured_any_more_can_still_be_given_back(world: World, tmp_path: Path) -> None:
    """A reload that drops a backend or a region leaves its marks, which show in the state and can be lifted."""
    for order, name in (("drain", "sg"), ("evacuate", "asia")):
        world.operator.give(order, name, "drill")
    reduced = (
        CONFIG.replace("asia: {continents: [AS]}, ", "").replace(", region: asia", "").replace("asia: [sg, us], ", "")
    )
    lines = [line for line in reduced.splitlines() if not line.startswith("  sg:")]
    world.running = configured(tmp_path, "\n".join(lines).replace("sg: q, ", "").replace("[us, sg]", "[us]"))
    assert [mark.get("backend") or mark["region"] for mark in world.state()["marks"]] == ["sg", "asia"]
    assert [backend["id"] for backend in world.state()["backends"]] == ["us", "vpc"]
    with pytest.raises(UnknownNameError):
        world.operator.give("drain", "sg", "again")
    with pytest.raises(UnknownNameError):
        world.operator.give("evacuate", "asia", "again")
    assert world.operator.give("undrain", "sg").changed
    assert world.operator.give("restore", "asia").changed
    with pytest.raises(UnknownNameError):
        world.operator.give("undrain", "sg")


@pytest.mark.parametrize(
    "reason",
    ["", "   ", "x" * 201, "two\nlines", "bell\a", "\x1b[31mred", "turned\u202eround", "\ud800", None, 5, ["x"]],
)
@pytest.mark.parametrize("order", sorted(ORDERS))
def test_a_reason_is_a_line_of_text(order: str, reason: object, world: World) -> None:
    """It goes into the log and onto terminals. Who takes something out has to give one, who gives it back may."""
    name = "asia" if ORDERS[order].noun == "region" else "sg"
    if isinstance(reason, str) and not reason.strip() and not ORDERS[order].lasts:
        assert not world.operator.give(order, name, reason).changed
        return
    with pytest.raises(OperatorError, match="'reason': expected a text of 1 to 200 printable characters"):
        world.operator.give(order, name, reason)
    assert world.state()["marks"] == []


@pytest.mark.parametrize("reason", ["x", "x" * 200, "Störung — 故障, ticket #4711"])
def test_a_reason_in_any_language_is_kept(reason: str) -> None:
    """Printable is what a terminal shows, not what ASCII has."""
    assert reason_of(f" {reason} ") == reason


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("1s", 1), ("1000ms", 1), ("90s", 90), ("1.5m", 90), ("1h", 3600), ("24h", DAY), ("25h", 90_000),
        ("168h", 7 * DAY), ("7d", 7 * DAY), ("0.5d", DAY / 2), (1, 1), (604_800, 7 * DAY), (2.5, 2.5),
    ],
)  # fmt: skip
def test_how_long_is_written_as_in_the_configuration(given: object, seconds: float) -> None:
    """And longer than anything there: up to a week."""
    assert seconds_of(given) == seconds


@pytest.mark.parametrize(
    "given",
    [
        "0s", "999ms", "168.1h", "8d", "1w", "1 h", "h", "", "-1h", "1h30m", "1e3s", "99999999999h", "١s",
        0, -5, 604_801, float("nan"), float("inf"), True, None, ["1h"], {"h": 1},
    ],
    ids=repr,
)  # fmt: skip
def test_anything_else_is_no_duration(given: object, world: World) -> None:
    """The error says what is expected; nothing is taken out for a time that nobody meant."""
    with pytest.raises(OperatorError, match="'for': expected a duration such as 90s, 30m, 1h or 7d"):
        world.operator.give("drain", "sg", "a reason", given)
    assert world.state()["marks"] == []


@pytest.mark.parametrize(("up", "shared"), [(True, True), (False, False)])
def test_a_result_says_whether_the_others_hear_of_it(up: bool, shared: bool, world: World) -> None:
    """Redis that cannot be reached does not hinder an order; it is told that only this replica knows."""
    world.sharing = {"up": up, "live": 3, "age": 0.25}
    done = world.operator.give("drain", "sg", "maintenance")
    assert done.changed
    assert done.shared is shared
    assert world.logged[-1][1]["shared"] is shared
    assert world.goes_to() == ["us"]


@pytest.mark.parametrize(
    ("sharing", "shown"),
    [
        (None, None),
        ({"up": True, "live": 3, "age": 0.26}, {"up": True, "live_workers": 3, "seconds_since_sync": 0.3}),
        (
            {"up": False, "live": 1, "age": float("inf")},
            {"up": False, "live_workers": 1, "seconds_since_sync": None},
        ),
    ],
)
def test_the_state_says_how_sharing_goes(sharing: dict[str, Any] | None, shown: object, world: World) -> None:
    """Not configured, working, or never worked."""
    world.sharing = sharing
    assert world.state()["sharing"] == shown


def test_the_state_of_a_good_day(world: World) -> None:
    """Every backend with what it is, no target, no mark."""
    assert world.state() == {
        "at": "2026-09-21T14:13:20Z",
        "backends": [
            {
                "id": name, "provider": provider, "site": None, "region": region, "trust": trust, "out": None,
                "targets": [],
            }
            for name, provider, region, trust in (
                ("sg", "openai", "asia", "third-party"),
                ("us", "openai", None, "third-party"),
                ("vpc", "vllm", "asia", "vpc"),
            )
        ],
        "regions": [
            {"id": "asia", "backends": ["sg", "vpc"], "out": None},
            {"id": "north-america", "backends": [], "out": None},
            {"id": "default", "backends": [], "out": None},
        ],
        "marks": [],
        "sharing": None,
        "under_way": {"calls": 3},
        "pressure": {"reasons": ["lag"]},
        "targets_left_off": 0,
        "limits": [],
    }  # fmt: skip


def test_a_target_is_shown_with_what_is_known_of_it(world: World) -> None:
    """Its samples within their windows, its faults in a row, why it is open and until when, and how often it was."""
    for _ in range(4):
        world.health.good(SG, Signal.START)
    world.health.good(SG, Signal.INTEGRITY)
    world.fail(SG, times=2)
    world.health.note(SG, Outcome(Signal.INTEGRITY, Verdict.FAULT, "cut"))
    assert world.target(SG) == {
        "endpoint": "sg.example", "model": "q", "credential": "sg#1.bd26e0", "phase": "closed", "admits": "all",
        "reason": None, "open_until": None, "cooling_until": None, "ramp": None, "opens": 0, "faults_in_a_row": 2,
        "starts": {"seen": 6, "faults": 2, "seconds": 30}, "ends": {"seen": 2, "faults": 1, "seconds": 120},
    }  # fmt: skip
    world.fail(SG, times=3)
    target = world.target(SG)
    text = FACTS[FaultKind.OVERLOADED].text
    assert (target["phase"], target["reason"]) == ("open", f"open: 5 faults in a row: {text}")
    assert (target["open_until"], target["opens"]) == ("2026-09-21T14:13:25Z", 1)


def test_what_is_long_ago_is_not_shown(world: World) -> None:
    """Samples count as long as they are judged, openings as long as they make the next one longer."""
    world.health.good(SG, Signal.START)
    world.fail(US, times=5)
    world.health.step(US, breaker.HeardClosed(1))
    assert world.target(SG)["starts"]["seen"] == 1
    world.pass_time(31)
    assert world.backend("sg")["targets"] == []
    assert (world.target(US)["admits"], world.target(US)["opens"]) == ("all", 1)
    world.pass_time(601)
    assert world.backend("us")["targets"] == []


def test_a_cool_off_is_shown_with_its_end(world: World) -> None:
    """A throttled target is not open, and gets no calls."""
    world.fail(US, FaultKind.THROTTLED, wait=45.0)
    target = world.target(US)
    assert (target["phase"], target["admits"]) == ("closed", "none")
    assert target["reason"].startswith("cooling off: ")
    assert target["cooling_until"] == "2026-09-21T14:14:05Z"
    world.time += 46  # nothing ticked yet
    assert world.backend("us")["targets"] == []


def test_a_refused_key_is_shown_by_its_name(world: World) -> None:
    """Each mark says what it is about: a key for all models, a key for one."""
    world.fail(SG, FaultKind.CREDENTIAL)
    world.fail(US, FaultKind.FORBIDDEN)
    until = "2026-09-28T14:13:20Z"
    assert world.state()["marks"] == [
        {"backend": "sg", "credential": "sg#1.bd26e0", "why": "quarantined",
         "reason": "our key was refused", "until": until},
        {
            "backend": "us", "endpoint": "us.example", "model": "q", "credential": "us#1.bd26e0",
            "why": "quarantined", "reason": "access was denied", "until": until,
        },
    ]  # fmt: skip
    assert world.backend("sg")["out"] is None  # its other key works
    assert world.goes_to() == ["sg"]


def test_of_many_targets_those_that_are_out_come_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wildcard models make many targets; the state is bounded and says how many are missing."""
    monkeypatch.setattr(module, "MAX_TARGETS", 3)
    for number in range(5):
        world.health.good(("sg", "sg.example", f"a{number}", "sg#1.bd26e0"), Signal.START)
    world.fail(US, times=5)
    state = world.state()
    assert state["targets_left_off"] == 3
    assert [len(backend["targets"]) for backend in state["backends"]] == [2, 1, 0]


def test_no_secret_is_in_it(world: World) -> None:
    """Keys are shown by their ids."""
    world.fail(SG, FaultKind.CREDENTIAL)
    world.operator.give("drain", "us", "drill")
    assert "secret-of-tests" not in str(world.state()) + str(world.logged)
    assert "sg#1" in str(world.state())


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (MarkKind.DRAIN, backend_key("sg")),
        (MarkKind.TRIP, backend_key("sg")),
        (MarkKind.EVACUATE, region_key("asia")),
        (MarkKind.QUARANTINE, SG),
        (MarkKind.QUARANTINE, credential_key("sg", SG[3])),
    ],
)
def test_whatever_mark_came_through_redis_can_be_shown(kind: MarkKind, key: tuple[str, ...], world: World) -> None:
    """No mark makes the state unreadable, and none writes to the operator's terminal."""
    world.health.marks.hear(Mark(key, kind, "a\x1b[2J\nb", world.wall() + 60, int(world.wall() * 1000)))
    (mark,) = world.state()["marks"]
    assert mark["reason"] == "a?[2J?b"
    assert mark["until"] == "2026-09-21T14:14:20Z"


def test_the_list_of_a_regions_backends_is_short(world: World, tmp_path: Path) -> None:
    """A message stays a line where a region has many."""
    many = "".join(
        f'  b{n}: {{provider: openai, base_url: "https://b{n}.example/v1", api_key: "${{K}}", region: north-america}}\n'
        for n in range(10)
    )
    world.running = configured(tmp_path, CONFIG.replace("\nmodels:", f"\n{many}models:"))
    done = world.operator.give("evacuate", "north-america", "drill")
    assert done.message.endswith("no new calls to b0, b1, b2, b3, b4, b5, b6, b7 and 2 more")
    assert len(done.backends) == 10


def test_every_order_has_a_name_of_the_health_store() -> None:
    """The table gives each order to the method that is called like it."""
    performers: dict[str, Callable[..., object]] = {name: row.perform for name, row in ORDERS.items()}
    assert performers == {name: getattr(MemoryHealth, name) for name in ORDERS}
