"""Answers that are made here and not by a backend: refusals and errors, in the caller's dialect."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.openai import OPENAI
from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.translator import Problem
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Refusal, RefusalKind
from hybridproxy.resilience.shedding import Shed
from hybridproxy.routing.plan import COME_BACK

MAX_RETRY_AFTER: Final = 60
"""Seconds; the SDKs of OpenAI do not retry at all after 120 s, those of Anthropic would sleep for any time."""


@dataclass(slots=True)
class Reply:
    """A whole answer.

    `code` is the error's, None for a success; `close`: the body was not read, end the connection; `problem`: the error,
    which every dialect says in its own way.
    """

    status: int
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    code: str | None = None
    close: bool = False
    problem: Problem | None = field(default=None, repr=False)

    def said_in(self, dialect: Dialect, request_id: str) -> None:
        """Put an error into the words of a dialect; it was made in OpenAI's."""
        if self.problem is not None and dialect is not Dialect.OPENAI:
            self.status, self.body = TRANSLATORS[dialect].problem(self.problem, request_id)


class BodyError(RequestError):
    """A body that was not read to its end: too large, too slow, or in an encoding we do not take."""

    def __init__(self, status: int, message: str, *, code: str) -> None:
        """Keep what the caller is told, with the status it gets."""
        super().__init__(message, code=code, status=status)


_REFUSALS: Final[dict[RefusalKind, tuple[int, str]]] = {
    RefusalKind.UNKNOWN_MODEL: (404, "model_not_found"),
    RefusalKind.REGION_REFUSED: (403, "region_refused"),
    RefusalKind.NO_BACKEND_ALLOWED: (400, "no_backend_allowed"),
    RefusalKind.NO_BACKEND_LEFT: (503, "no_backend_left"),
    RefusalKind.CONTEXT_TOO_LONG: (400, "context_length_exceeded"),
}


def error_reply(
    status: int, message: str, *, type_: str, code: str, param: str | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """Return an error in OpenAI's shape."""
    return problem_reply(Problem(status, message, type_, code, param), {} if headers is None else headers)


def problem_reply(problem: Problem, headers: dict[str, str]) -> Reply:
    """Return an error that was put together before."""
    status, body = OPENAI.problem(problem, "")
    return Reply(status, body, headers, problem.code, problem=problem)


def unauthorized(*, given: bool) -> Reply:
    """Return the answer to a call without a key that is known here."""
    message = "this key is not known" if given else "send a key: 'Authorization: Bearer hp_…' or 'x-api-key: hp_…'"
    reply = error_reply(401, message, type_="authentication_error", code="invalid_api_key")
    reply.headers["www-authenticate"] = "Bearer"
    reply.close = True
    return reply


def misdirected() -> Reply:
    """Return the answer to a call that the processes of another plane serve. Its body was not read, and never is."""
    message = "calls of this kind are served by other processes of this installation: the load balancer sent it wrongly"
    reply = error_reply(421, message, type_="invalid_request_error", code="misdirected_request")
    reply.close = True
    return reply


_SHED: Final = {
    Shed.CALLS: "hybridproxy has as many calls under way as it may have",
    Shed.MEMORY: "hybridproxy is short of memory",
    Shed.LAG: "hybridproxy has more calls to serve than it can",
}


def shed_reply(reason: Shed, wait: int) -> Reply:
    """Return the answer to a call that was refused because of our own load; `wait`: seconds until it may come again."""
    message = f"{_SHED[reason]} at the moment: try again in {wait} s"
    return error_reply(
        503,
        message,
        type_="server_error",
        code="overloaded",
        headers={"retry-after": str(wait)},
    )


def request_error_reply(error: RequestError) -> Reply:
    """Return the answer to a body that cannot be served."""
    reply = error_reply(error.status, error.message, type_="invalid_request_error", code=error.code, param=error.param)
    reply.close = isinstance(error, BodyError)
    return reply


def refusal_reply(refusal: Refusal, headers: dict[str, str]) -> Reply:
    """Return the answer to a call for which there is no attempt to make."""
    status, code = _REFUSALS[refusal.kind]
    waiting_helps = refusal.retry_after is not None
    if waiting_helps:
        headers["retry-after"] = _seconds(refusal.retry_after or 0)
    type_ = "upstream_error" if waiting_helps else "permission_error" if status == 403 else "invalid_request_error"
    return error_reply(status, refusal.message, type_=type_, code=code, headers=headers)


def fault_reply(fault: Fault, headers: dict[str, str], *, sovereign: bool = False) -> Reply:
    """Return the answer to a call whose attempts all failed; the SDK of the client would only repeat them.

    Where none was made, since our quotas are used up, it may come again when there is room. For a sovereign tenant
    there is no "bad gateway" but only its own cluster: whatever is wrong there is a 503.
    """
    if fault.kind is not FaultKind.LIMITED:
        headers["x-should-retry"] = "false"
    problem = problem_of(fault)
    if sovereign and problem.type == "upstream_error":
        problem = replace(problem, status=503)
    status, wait = problem.status, fault.retry_after
    if wait is None and status in {429, 503}:
        wait = fault.cool_off or COME_BACK
    if wait is not None:
        headers["retry-after"] = _seconds(wait)
    return problem_reply(problem, headers)


def problem_of(fault: Fault) -> Problem:
    """Return what the caller is told of a fault."""
    facts = fault.facts
    return Problem(facts.status, fault.sentence(), facts.type, facts.code)


def internal_reply() -> Reply:
    """Return the answer to a call that met a bug of ours."""
    return error_reply(
        500, "hybridproxy failed on this call; its log has the request id", type_="server_error", code="internal_error"
    )


def _seconds(wait: float) -> str:
    return str(min(MAX_RETRY_AFTER, max(1, math.ceil(wait))))


MAX_NAMED: Final = 20
_FIELD: Final = re.compile(r"[^A-Za-z0-9_.\[\]-]")


def named(fields: Sequence[str]) -> str:
    """Return names of fields, which the caller chose, as the value of a header."""
    names = [_FIELD.sub("?", name[:64]) for name in dict.fromkeys(fields)]
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")
