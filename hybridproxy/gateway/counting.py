"""How many tokens an input has, where no backend can be asked, or none of them answers: an estimate that says so."""

from typing import Any, Final

from hybridproxy.metering.estimate import input_tokens
from hybridproxy.model.call import Call
from hybridproxy.model.fault import Fault, Source
from hybridproxy.model.plan import Refusal, RefusalKind
from hybridproxy.model.snapshot import Model

ESTIMATED: Final = {"x-hybridproxy-estimated": "input_tokens"}
"""Tells the caller that nobody counted."""

_NOBODY_TO_ASK: Final = frozenset(
    {RefusalKind.NO_BACKEND_ALLOWED, RefusalKind.NO_BACKEND_LEFT, RefusalKind.CONTEXT_TOO_LONG}
)


def may_estimate(why: Refusal | Fault) -> bool:
    """Return whether an estimate may stand in for a count: not for what the caller may not do, or did wrong."""
    if isinstance(why, Refusal):
        return why.kind in _NOBODY_TO_ASK
    return why.facts.source is not Source.CALLER


def estimated(call: Call, model: Model) -> dict[str, Any]:
    """Return about how many tokens a call's input has, in the form of a count."""
    return {"input_tokens": input_tokens(call.body, model.family)}
