"""Every acceptance test with its two forms: the short one runs with every change, the full one by `make acceptance`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance import (
    breakers,
    clusters,
    failovers,
    fairness,
    leaks,
    money,
    outages,
    overload,
    partitions,
    returns,
    sovereign,
)
from tests.acceptance.report import Report
from tests.support.namespace import forbidden


@dataclass(frozen=True, slots=True)
class Form:
    """One test.

    Attributes:
        id: its name.
        setup: what is done, in the full form.
        holds: what must hold.
        test: does it and reports; takes a folder and the parameters of a form.
        short: the parameters of the short form.
        full: those of the full form.
        limit: seconds after which the full form is given up.
        forbidden: returns why it cannot be run on this machine, "" where it can.

    """

    id: str
    setup: str
    holds: str
    test: Callable[..., Awaitable[Report]]
    short: Mapping[str, Any]
    full: Mapping[str, Any]
    limit: float
    forbidden: Callable[[], str] = lambda: ""

    async def run(self, folder: Path, *, full: bool) -> Report:
        """Run one of its forms; beside the short one the machine may do other things."""
        return await self.test(folder, calm=full, **(self.full if full else self.short))


ALL = (
    Form(
        "B1", "upstream A killed (SIGKILL) at 200 calls/s, five times; three replicas, one of which gets no call",
        "all replicas open within 2 s; at most 10 client errors until then, none after",
        breakers.killed,
        {"rate": 60, "before": 1.5, "after": 1.0, "rounds": 1},
        {"rate": 200, "before": 15, "after": 15, "rounds": 5}, 600,
    ),
    Form(
        "B2", "A stopped (SIGSTOP): it accepts and is silent; 200 calls/s of four tenants, time to first token 5 s",
        "every call is tried again on B; A opens; no call takes longer than the time to first token and 2 s",
        breakers.silent,
        {"rate": 60, "first_token": 1, "before": 1.5, "after": 1},
        {"rate": 200, "first_token": 5, "before": 12, "after": 8}, 180,
    ),
    Form(
        "B3", "A begins its streams and stalls in the middle; 30 s between bytes",
        "an error event at 30 s, no [DONE], no second attempt; A opens by its broken streams",
        breakers.stalled,
        {"rate": 12, "between_bytes": 1, "seconds": 0.5},
        {"rate": 5, "between_bytes": 30, "seconds": 5}, 180,
    ),
    Form(
        "B5", "A answers half of its calls with 500 at random; ten seeds, 100 calls/s of one tenant for 30 s each",
        "A opens at most 20 samples after the threshold; attempts at most 1.10 × calls and one a second",
        breakers.half_broken,
        {"rate": 100, "seconds": 2.5, "seeds": 1},
        {"rate": 100, "seconds": 30, "seeds": 10}, 900,
    ),
    Form(
        "B6", "all three upstreams fail; 1,000 calls/s for 60 s",
        "attempts at most 1.1 × calls and one a second for each tenant; 503 with Retry-After within 50 ms; CPU < 90 %",
        breakers.all_failing,
        {"rate": 200, "seconds": 2},
        {"rate": 1000, "seconds": 60}, 180,
    ),
    Form(
        "B7", "eight replicas have A open; it recovers; 160 calls/s",
        "one probe at a time in the whole fleet; then a ramp of 30 s, never more than twice its share",
        returns.recovers,
        {"replicas": 3, "rate": 90, "down": 1, "ramp": 8},
        {"replicas": 8, "rate": 160, "down": 20, "ramp": 36}, 240,
    ),
    Form(
        "B9", "429 with Retry-After: 7, a date, −1, 10^9 and junk",
        "left alone for exactly so long, for 5 s where it cannot be read, at most for 300 s; no breaker opens",
        returns.throttled,
        {"rate": 50, "seconds": 1, "longest": 6},
        {"rate": 50, "seconds": 7, "longest": 304}, 420,
    ),
    Form(
        "B11", "A bills 5 % of the calls and closes the connection; 100 calls/s for 60 s",
        "at most one retry; what was billed for nothing is counted to the cent of A's own ledger",
        returns.billed_for_nothing,
        {"rate": 80, "seconds": 2.5, "share": 0.08, "words": 10_000},
        {"rate": 100, "seconds": 60, "share": 0.05, "words": 10_000}, 240,
    ),
    Form(
        "B13", "401 on one of A's two credentials, at two replicas; 200 calls/s",
        "only that one is quarantined; no further use once it is known; an alert within 5 s",
        returns.refused_key,
        {"rate": 60, "seconds": 1},
        {"rate": 200, "seconds": 10}, 120,
    ),
    Form(
        "C1", "four engines, two replicas, 20 conversations; one engine killed (SIGKILL) at 100 calls/s, and back",
        "90 % of turns where the one before was; no turn fails, no call is lost that had not begun",
        clusters.conversations,
        {"rate": 40, "before": 1.5, "out": 1.0, "after": 1.5},
        {"rate": 100, "before": 15, "out": 15, "after": 45}, 240,
    ),
    Form(
        "L4", "three times as many calls as one worker can serve, for 5 min; half of them are streams; then 0.7 times",
        "at least 80 % of what it can is served; refusals within 50 ms, with Retry-After; p99 as before within 10 s",
        overload.overloaded,
        {"lag": "50ms", "peak": 1, "usual": 0.6, "begins": 1.2, "storms": 2, "back": 1},
        {"lag": "100ms", "peak": 10, "usual": 20, "begins": 6, "storms": 300, "back": 10}, 480,
    ),
    Form(
        "L5", "21 tenants with 600 requests a minute each, one of which asks for ten times that; rounds with it and "
        "without; and rounds beside one that has no quota, at a credential whose quota is that of all together",
        "the twenty others' success at least 99.9 %; their p99 at most a fifth above the rounds without it",
        fairness.noisy,
        {"rpm": 180, "seconds": 0.6, "rounds": 2},
        {"rpm": 600, "seconds": 8, "rounds": 8}, 300,
    ),
    Form(
        "M1", "25,000 calls: all dialects, streams, tools, thinking, cached prompts, embeddings, callers that leave; "
        "five upstreams that break in every way; cuts, retries, hedges, resumes, replays, 429, time-outs",
        "each attempt is one line of the upstreams' own books, and each line an attempt; what was reported is equal to "
        "the token and the nano-dollar; usage, budgets and the fleet's report are the sums of the records",
        money.reconciles,
        {"count": 300, "seed": 1, "at_a_time": 24},
        {"count": 25_000, "seed": 6, "at_a_time": 24}, 900,
    ),
    Form(
        "R1", "Redis killed for 5 min at 200 calls/s, a third of them at a replica without Redis for comparison",
        "no client error; p99 changes by at most 5 ms; /readyz stays 200",
        outages.killed,
        {"rate": 150, "quiet": 0.8, "seconds": 2, "tries": 3},
        {"rate": 200, "quiet": 60, "seconds": 300, "tries": 1}, 720,
    ),
    Form(
        "R2", "Redis stopped (SIGSTOP) for 60 s at 200 calls/s",
        "as R1",
        outages.stopped,
        {"rate": 150, "quiet": 0.8, "seconds": 2, "tries": 3},
        {"rate": 200, "quiet": 30, "seconds": 60, "tries": 1}, 300,
    ),
    Form(
        "R3", "the way to Redis delays by 300 ms, by 5 s, then swallows everything; 60 s each at 200 calls/s",
        "as R1; at most one connection attempt a second for each worker, at irregular times",
        outages.unreachable,
        {"rate": 150, "quiet": 0.4, "seconds": 2.7, "tries": 3},
        {"rate": 200, "quiet": 20, "seconds": 60, "tries": 1}, 600,
    ),
    Form(
        "R5", "20 changes of the master by sentinels, at 100 calls/s, while three replicas race to probe a failing A",
        "at most one extra probe for each; no client error",
        failovers.sentinels,
        {"replicas": 3, "rate": 60, "failovers": 1},
        {"replicas": 3, "rate": 100, "failovers": 20}, 900,
    ),
    Form(
        "R6", "a cluster of six nodes: the slot moves, then its master is killed; five times, 100 calls/s",
        "no CROSSSLOT; shared again within 10 s; no client error",
        failovers.cluster,
        {"masters": 3, "spares": 1, "rate": 60, "rounds": 1},
        {"masters": 3, "spares": 1, "rate": 100, "rounds": 5}, 600,
    ),
    Form(
        "R9", "four replicas, two of which lose Redis for 5 min; three tenants ask at all of them for more than their "
        "limits of requests and of calls at a time, and their budget",
        "over-admission at most 10 %; spend at most the cap; shares agree again within 2 s",
        partitions.partitioned,
        {"rate": 60, "rpm": 120, "dollars": 0.0006, "before": 2.5, "seconds": 4, "after": 1, "least": 0.5},
        {"rate": 60, "rpm": 600, "dollars": 0.02, "before": 20, "seconds": 300, "after": 30, "least": 0.9}, 700,
    ),
    Form(
        "R10", "MONITOR at 1,000 calls/s for 60 s, four replicas, everything that is shared keeps changing",
        "at most 4 round trips a second for each worker, and 2 writes a second for each worker and key",
        failovers.counted,
        {"replicas": 2, "rate": 150, "seconds": 3},
        {"replicas": 4, "rate": 1000, "seconds": 60}, 240,
    ),
    Form(
        "S5", "canaries in keys, headers, prompts, answers and names; every way to fail; asyncio's debug mode",
        "none in logs, metrics or Redis (MONITOR, DUMP, HGETALL); of ours none in what callers get",
        leaks.secrets,
        {"rounds": 1},
        {"rounds": 5}, 240,
    ),
    Form(
        "S9", "two tenants with identical prompts, at two replicas, behind four engines that cache prefixes",
        "salts differ, and are the same at both replicas; nothing of one is found in the other's cache",
        clusters.apart,
        {"rounds": 3},
        {"rounds": 200}, 120,
    ),
    Form(
        "S6", "line ends, ANSI, JSON and 1 MB in every place, 10,000 bad requests, 10,000 failing calls",
        "every line is JSON; one a call at most, at most 8 kB, 2 kB on average",
        leaks.injected,
        {"count": 600, "storm": 600},
        {"count": 10_000, "storm": 10_000}, 300,
    ),
    Form(
        "V2", "every combination of failures of three engines in the VPC and five third parties, each failing as a "
        "refused port, 500, silence, 307 to a public host and a killed process; sovereign calls, three in each case; "
        "an AF_PACKET witness on every interface",
        "no packet to or from anybody but the VPC, DNS included; of ordinary calls in the same run it sees them",
        sovereign.all_failures,
        {"engines": 2, "third": 3, "rounds": 1, "mixed": 3},
        {"engines": 3, "third": 5, "rounds": 5, "mixed": 40}, 1800, forbidden,
    ),
)  # fmt: skip

FORMS = {form.id: form for form in ALL}
