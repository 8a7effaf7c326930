"""What every call needs from the process around it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hybridproxy.gateway.following import Following
from hybridproxy.metering.records import Ledger, NoLedger
from hybridproxy.model.facts import Observer
from hybridproxy.model.health import HealthKey
from hybridproxy.resilience.budget import Allowances
from hybridproxy.resilience.hedge import FirstTokens
from hybridproxy.resilience.terms import Rng
from hybridproxy.stores.limiters import Limiters
from hybridproxy.stores.loads import MemoryLoads
from hybridproxy.stores.memory import MemoryHealth
from hybridproxy.stores.quotas import Quotas
from hybridproxy.transport.sweep import Sweep


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The shell's parts, handed to each call.

    Attributes:
        sweep: the one timer.
        health: what is known of targets, and who hears of each attempt's outcome.
        observer: takes the facts of a finished call.
        wall: seconds since the epoch.
        report: takes the id of a call that met a bug, while the exception is being handled.
        rng: chance; spreads load, guards nothing.
        quotas: what tenants have in use of their limits.
        allowances: what each tenant's calls may add to load and bill.
        first_tokens: how long targets take, where a route hedges.
        loads: how loaded endpoints are, where a backend has several.
        ledger: takes what attempts and calls used and cost.
        limiters: how much of each of our credentials is in use.
        following: calls whose cost counts against a budget.

    """

    sweep: Sweep
    health: MemoryHealth
    observer: Observer
    wall: Callable[[], float]
    report: Callable[[str], None]
    rng: Rng
    quotas: Quotas
    allowances: Allowances = field(default_factory=Allowances)
    first_tokens: dict[HealthKey, FirstTokens] = field(default_factory=dict)
    loads: MemoryLoads = field(default_factory=MemoryLoads)
    ledger: Ledger = field(default_factory=NoLedger)
    limiters: Limiters = field(default_factory=Limiters)
    following: Following = field(default_factory=Following)
