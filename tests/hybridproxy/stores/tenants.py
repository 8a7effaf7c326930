"""A fleet of workers that count one tenant's calls, by a clock that the test sets; what they agree on is in memory."""

from collections import deque
from collections.abc import Sequence

from hybridproxy.model.limits import NO_CAPS, NO_RATES, Caps, Limits, Rates
from hybridproxy.model.snapshot import Tenant
from hybridproxy.resilience.agreement import Agreed
from hybridproxy.resilience.quota import Excess
from hybridproxy.stores.quotas import Quotas, Reservation
from hybridproxy.stores.shares import FleetShares
from tests.hybridproxy.stores.agreed import in_memory
from tests.support.limited import reserve

START = 1_800_000_000.0
PERIOD = 0.55


class Clock:
    """Seconds since some moment, and since the epoch."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = START

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.wall += seconds


class One:
    """A worker: `admit` makes a call, `sync` agrees."""

    def __init__(self, clock: Clock, number: int, tenant: Tenant, *, name: str = "", spender: str = "") -> None:
        self.clock = clock
        self.tenant = tenant
        self.me = f"{number:04x}"
        self.quotas = Quotas(lambda: clock.now, lambda: clock.wall)
        self.shares = FleetShares(
            self.me,
            name or f"{number:x}0",
            uses=self.quotas.uses,
            now=lambda: clock.now,
            moment=self.quotas.moment,
            wall=lambda: clock.wall,
        )
        self.shares.spender = spender or self.me
        self.quotas.shares = self.shares
        self.due = clock.now
        self.reach = True

    def admit(self, tokens: int = 1, cost: int = 0) -> Reservation | None:
        """Let a call begin, if there is room."""
        made = reserve(self.quotas, self.tenant, "qwen", tokens, cost)
        return None if isinstance(made, Excess) else made

    def refused(self, tokens: int = 1, cost: int = 0) -> Excess | None:
        """Return why a call may not begin."""
        made = reserve(self.quotas, self.tenant, "qwen", tokens, cost)
        return made if isinstance(made, Excess) else None

    def sync(self, agreed: Agreed) -> None:
        """Say and hear once, if Redis can be reached."""
        self.due = self.clock.now + PERIOD
        told = self.shares.asked()
        if self.reach:
            self.shares.answered(in_memory(agreed, self.me, told, int(self.clock.wall * 1000)))


class Many:
    """Workers of one tenant. `used` is what was admitted within the last 60 s, by all."""

    def __init__(self, count: int, rates: Rates = NO_RATES, caps: Caps = NO_CAPS) -> None:
        self.clock = Clock()
        self.agreed = Agreed()
        self.tenant = Tenant("shop", "default", limits=Limits(rates, caps))
        self.workers = [One(self.clock, number, self.tenant) for number in range(1, count + 1)]
        self.spent = 0
        for worker in self.workers * 2:  # so that each knows of the others
            worker.sync(self.agreed)
        self._admitted: deque[tuple[float, int]] = deque()
        self._total = 0

    def step(self, seconds: float) -> None:
        """Let time pass, and let those sync that are due."""
        self.clock.pass_by(seconds)
        for worker in self.workers:
            if worker.due <= self.clock.now:
                worker.sync(self.agreed)

    def ask(self, worker: One, tokens: int = 1, cost: int = 0) -> bool:
        """Make a call that is over at once; return whether it was let in."""
        made = worker.admit(tokens, cost)
        if made is None:
            return False
        made.settle(tokens, cost)
        self._admitted.append((self.clock.now, tokens))
        self._total += tokens
        self.spent += cost
        return True

    def press(self, seconds: float, each: float = 0.05, workers: Sequence[One] | None = None, cost: int = 0) -> int:
        """Let workers be asked for more than there is for so long; return the most that was in use at a time."""
        most = 0
        for _ in range(round(seconds / each)):
            self.step(each)
            for worker in self.workers if workers is None else workers:
                while self.ask(worker, cost=cost):
                    pass
            most = max(most, self.used)
        return most

    @property
    def used(self) -> int:
        """Tokens of the last 60 s."""
        while self._admitted and self._admitted[0][0] <= self.clock.now - 60.0:
            self._total -= self._admitted.popleft()[1]
        return self._total
