"""The tour's steps: who calls from where, what is broken meanwhile, what must come of it, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hybridproxy.demo.outcome import Expected

QUESTION: Final = "Say hello in one short sentence."
VPC: Final = "vpc"


@dataclass(frozen=True, slots=True)
class Caller:
    """An application: whose it is, and where."""

    tenant: str
    place: str
    address: str


SINGAPORE: Final = Caller("shop", "Singapore", "165.21.83.88")
TORONTO: Final = Caller("shop", "Toronto", "128.100.1.1")
SHANGHAI: Final = Caller("shop", "Shanghai", "202.96.209.5")
BANK_SINGAPORE: Final = Caller("bank", "Singapore", "165.21.83.88")
BANK_FRANKFURT: Final = Caller("bank", "Frankfurt", "141.2.1.1")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is broken during a step.

    Attributes:
        words: as the screen tells it.
        faults: simulated upstream -> the `fault` of its behaviour.
        stopped: an upstream whose process is stopped.

    """

    words: str
    faults: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the tour."""

    headline: str
    caller: Caller
    expected: Expected
    why: str
    trouble: Trouble | None = None


STEPS: Final = (
    Step(
        "A caller in Singapore",
        SINGAPORE,
        Expected(region="asia", backend="dashscope-sg", asked={"dashscope-sg": 1}),
        "Singapore lies in the region asia, and asia's route begins with dashscope-sg.",
    ),
    Step(
        "A caller in Toronto",
        TORONTO,
        Expected(region="north-america", backend="together-us", asked={"together-us": 1}),
        "Canada belongs to the region north-america, whose route begins with a US backend. Nothing else changed: "
        "same URL, same key, same model name.",
    ),
    Step(
        "The US backend fails",
        TORONTO,
        Expected(
            region="north-america",
            backend="openrouter-us",
            attempts=2,
            asked={"together-us": 1, "openrouter-us": 1},
        ),
        "The first attempt failed before any output, so the next backend of the route took over. "
        "The caller saw no error.",
        Trouble("together-us answers every call with 503", {"together-us": {"kind": "status", "status": 503}}),
    ),
    Step(
        "The US backend accepts calls and says nothing",
        TORONTO,
        Expected(
            region="north-america",
            backend="openrouter-us",
            attempts=2,
            asked={"together-us": 1, "openrouter-us": 1},
        ),
        "together-us may take 1 s to its first token here; then its attempt is cancelled and the next one takes over.",
        Trouble("together-us is silent", {"together-us": {"kind": "stall", "before_head": True}}),
    ),
    Step(
        "A stream that is cut in the middle",
        TORONTO,
        Expected(
            region="north-america",
            backend="together-us",
            complete=False,
            code="upstream_cut",
            asked={"together-us": 1},
        ),
        "Text had already gone out, and another backend would write another text. So the caller gets an error, and no "
        "end mark that would make half an answer look whole.",
        Trouble(
            "together-us closes the connection after three pieces", {"together-us": {"kind": "cut", "after_pieces": 3}}
        ),
    ),
    Step(
        "The bank's tenant, calling from Singapore",
        BANK_SINGAPORE,
        Expected(region="asia", backend=VPC, asked={VPC: 1}),
        "The bank is sovereign: its calls reach the VPC's own engine or nothing, wherever they come from.",
    ),
    Step(
        "The bank's tenant while the VPC is down",
        BANK_FRANKFURT,
        Expected(region="europe", backend=VPC, status=503, attempts=2, complete=False, code=None),
        "The only backend is asked once more, no third party ever: failures only remove candidates.",
        Trouble("the VPC's engine is stopped", stopped=VPC),
    ),
    Step(
        "A caller in mainland China",
        SHANGHAI,
        Expected(region="china", backend="none", status=403, attempts=0, complete=False, code="region_refused"),
        "Mainland China is a region of its own, and this configuration lists no backend for it: refused, not rerouted.",
    ),
)
