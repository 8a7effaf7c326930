"""How a call's attempts get their turns at backends whose use is limited.

On a good day nothing is limited, and the driver never comes here. Else an attempt is sent at once, waits in the line of
its credential for at most a second, or is refused as if health had taken the target away, so that the next allowed
backend is chosen before anything is sent. While it waits nothing of it has left: the call's timers run, and a caller
that leaves takes it out of the line. Its turn comes as an event of the call, so that it is sent in the call's own task.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from hybridproxy.gateway.outgoing import priority_of
from hybridproxy.gateway.relay import AnswerAttempt, StreamAttempt
from hybridproxy.metering.estimate import BYTES_A_TOKEN, answer_tokens
from hybridproxy.model.call import Call
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Tenant
from hybridproxy.model.value import value
from hybridproxy.resilience.events import Event, Mode, Refused, StartAttempt
from hybridproxy.stores.gates import Full, Turn, Waiting, Wish
from hybridproxy.stores.limiters import Limiters

LEAST_WAIT: Final = 1.0
"""Seconds after which a caller may come again where nobody knows when there will be room."""


@value
class Ready:
    """Attempt `n` has waited for its turn, and has it."""

    n: int


class Turns:
    """The turns of one call that had to ask."""

    __slots__ = ("_call", "_limiters", "_owner", "_places", "_post", "_prompt")

    def __init__(
        self, limiters: Limiters, call: Call, owner: Tenant, prompt: int, post: Callable[[Event | Ready], None]
    ) -> None:
        """Ask for a call of a tenant; `prompt`: tokens of its input; `post` takes `Ready` and `Refused`."""
        self._limiters = limiters
        self._call = call
        self._owner = owner
        self._prompt = prompt
        self._post = post
        self._places: dict[int, tuple[StartAttempt, Waiting | Turn]] = {}

    def ask(self, command: StartAttempt, target: Target[Any]) -> Turn | None:
        """Return an attempt's turn, None where it waits or is refused. A hedge never waits: it is to be quicker."""
        call = self._call
        wish = Wish(self._owner.id, priority_of(call, self._owner), self._prompt, answer_tokens(call))
        ready = None if command.mode is Mode.HEDGE else partial(self._ready, command, target.backend.id)
        got = self._limiters.ask(target, wish, ready)
        if type(got) is Turn:
            return got
        if isinstance(got, Full):
            self._post(Refused(command.n, fault_of(got, target.backend.id)))
        elif command.n not in self._places:  # else its turn came while it was asked for
            self._places[command.n] = (command, got)
        return None

    def take(self, n: int) -> tuple[StartAttempt, Turn] | None:
        """Return an attempt whose turn has come, None where it is no longer wanted."""
        place = self._places.pop(n, None)
        return (place[0], place[1]) if place is not None and type(place[1]) is Turn else None

    def leave(self, n: int) -> None:
        """Give up an attempt that waits, or whose turn has come and was not used. Again is no harm."""
        place = self._places.pop(n, None)
        if place is not None:
            (place[1].leave if isinstance(place[1], Waiting) else place[1].cancel)()

    def close(self) -> None:
        """Give up all of them."""
        for n in list(self._places):
            self.leave(n)

    def _ready(self, command: StartAttempt, backend: str, got: Turn | Full) -> None:
        if isinstance(got, Full):
            self._places.pop(command.n, None)
            self._post(Refused(command.n, fault_of(got, backend)))
        else:
            self._places[command.n] = (command, got)
            self._post(Ready(command.n))


def fault_of(full: Full, backend: str) -> Fault:
    """Return what a caller is told whom no other backend could answer either."""
    return Fault(FaultKind.LIMITED, full.why, backend, retry_after=max(LEAST_WAIT, full.seconds))


def end(
    turn: Turn, attempt: AnswerAttempt | StreamAttempt, prompt: int, fault: Fault | None, *, answered: bool
) -> None:
    """End an attempt's turn with the tokens that it used, reported or estimated.

    Args:
        turn: its turn.
        attempt: what became of it.
        prompt: tokens of the input, as estimated.
        fault: how it failed, None: it did not.
        answered: it came to its end, and was not cancelled.

    """
    usage = attempt.usage
    if usage is not None:
        turn.end(usage.prompt + usage.completion, usage.completion if answered else None, fault)
    elif fault is not None and not fault.billed:
        turn.end(fault=fault)
    else:
        output = attempt.text // BYTES_A_TOKEN
        turn.end(prompt + output, output if answered else None, fault)
