"""The ledger's records as lines of JSON, both ways.

    started  an attempt under way: it stands on the board of what is in flight, never in a segment
    attempt  one that came to its end: what its `Started` and its `Ended` say
    call     a call that is over
    sums     rows that stand for records which could not be kept one by one

What is read is believed only where it has the right form; anything else is no record.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import orjson

from hybridproxy.metering.records import Basis, Called, Ended, Outcome, Started
from hybridproxy.metering.report import BY, WIDTH, Rows
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value

MAX_LINE: Final = 64 * 1024
"""Bytes of a record; `sums` may be longer."""

MOST: Final = 10**15
"""Tokens, or nano-dollars (a million dollars), of one record; what an upstream tells beyond that is not believed."""

_MOST: Final = 2**63
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_BASES: Final = {basis.value: basis for basis in Basis}
_OUTCOME: Final = {outcome: outcome.value for outcome in Outcome}
_BASIS: Final = {basis: basis.value for basis in Basis}


@value
class Attempt:
    """One attempt from its beginning to its end."""

    started: Started
    ended: Ended


@value
class Summed:
    """What stands for records that could not be kept: their sums, and how many they were."""

    rows: tuple[tuple[tuple[str, str, str, str, str], tuple[int, ...]], ...]
    records: int


Record = Started | Attempt | Called | Summed


def names_in(started: Started) -> str:
    """Return what names an attempt and says where it went, the part that its two lines have in common."""
    where = _where(
        started.tenant,
        started.model,
        started.region,
        started.backend,
        started.upstream,
        started.credential,
        started.mode,
    )
    return f'"call":{_quoted(started.call)},"n":{started.n},"at":{started.at},{where}'


def started_line(started: Started, names: str = "") -> bytes:
    """Return an attempt under way as a line; `names`: what `names_in` returned of it, "": it was not asked."""
    return (
        f'{{"record":"started",{names or names_in(started)},"prompt":{started.prompt},"answer":{started.answer},'
        f'"cost":{started.cost}}}\n'
    ).encode()


def attempt_line(started: Started, ended: Ended, names: str = "") -> bytes:
    """Return a whole attempt as a line; `names`: what `names_in` returned of its beginning, "": it was not asked."""
    usage = ended.usage
    fault = f',"fault":{_word(ended.fault)}' if ended.fault else ""
    priced = "" if ended.priced else ',"priced":false'
    prices = f',"prices":{_word(ended.prices)}' if ended.prices else ""
    return (
        f'{{"record":"attempt",{names or names_in(started)},"ended":{ended.at},"outcome":"{_OUTCOME[ended.outcome]}",'
        f'"prompt":{usage.prompt},"completion":{usage.completion},"cost":{ended.cost},"basis":"{_BASIS[ended.basis]}",'
        f'"table":{ended.table},"seconds":{ended.seconds:.3f}{fault}{priced}{prices}{_details(usage)}}}\n'
    ).encode()


def call_line(called: Called) -> bytes:
    """Return a call as a line."""
    usage = called.usage
    what = _what(
        called.tenant, called.model, called.region, called.operation, called.dialect, called.code, called.backend
    )
    return (
        f'{{"record":"call","call":{_quoted(called.call)},"at":{called.at},{what},'
        f'"stream":{"true" if called.stream else "false"},"status":{called.status},"attempts":{called.attempts},'
        f'"prompt":{usage.prompt},"completion":{usage.completion},"cost":{called.cost},'
        f'"estimated_cost":{called.estimated},"seconds":{called.seconds:.3f}{_details(usage)}}}\n'
    ).encode()


def sums_line(rows: Rows, records: int) -> bytes:
    """Return rows that stand for so many records as a line."""
    return orjson.dumps({"record": "sums", "records": records, "rows": listed(rows)}) + b"\n"


def listed(rows: Rows) -> list[list[str | int]]:
    """Return rows as lists: the parts of the key, then the sums."""
    return [[*key, *(min(number, _MOST - 1) for number in sums)] for key, sums in rows.items()]


def rows_in(given: Any) -> Rows:
    """Return the rows that were listed.

    Raises:
        ValueError: they were not.

    """
    if type(given) is not list:
        raise ValueError("no list of rows")
    rows: Rows = {}
    for row in given:
        if type(row) is not list or len(row) != len(BY) + WIDTH:
            raise ValueError("no row")
        day, tenant, model, backend, region = (_text(name) for name in row[: len(BY)])
        rows[day, tenant, model, backend, region] = [_whole(number) for number in row[len(BY) :]]
    return rows


def record_in(line: bytes) -> Record | None:
    """Return the record that a line is, None when it is none."""
    try:
        found = orjson.loads(line)
        return _READ[found["record"]](found)
    except (ValueError, TypeError, KeyError):
        return None


def within(ended: Ended) -> Ended:
    """Return an end whose numbers can be added up: none is negative or absurd."""
    usage = ended.usage
    if (
        0 <= usage.prompt <= MOST
        and 0 <= usage.completion <= MOST
        and 0 <= ended.cost <= MOST
        and 0 <= ended.table <= MOST
        and 0 <= usage.cached + usage.written + usage.reasoning <= MOST
        and (usage.cost is None or 0 <= usage.cost <= MOST)
    ):
        return ended
    numbers = (usage.prompt, usage.completion, usage.cached, usage.reasoning, usage.written, ended.cost, ended.table)
    prompt, completion, cached, reasoning, written, cost, table = (min(max(0, number), MOST) for number in numbers)
    told = None if usage.cost is None else min(max(0, usage.cost), MOST)
    bounded = Usage(prompt, completion, cached, reasoning, usage.estimated, written, told)
    return replace(ended, usage=bounded, cost=cost, table=table)


def closed(started: Started) -> Ended:
    """Return the end of an attempt whose process was killed: what was expected of it."""
    usage = Usage(started.prompt, started.answer, estimated=True)
    return Ended(
        started.call, started.n, started.at, Outcome.UNKNOWN, "", usage, started.cost, Basis.ESTIMATE, started.cost
    )


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


_word = lru_cache(maxsize=1024)(_quoted)


@lru_cache(maxsize=4096)
def _where(tenant: str, model: str, region: str, backend: str, upstream: str, credential: str, mode: str) -> str:
    return _inner({
        "tenant": tenant, "model": model, "region": region, "backend": backend, "upstream": upstream,
        "credential": credential, "mode": mode,
    })  # fmt: skip


@lru_cache(maxsize=4096)
def _what(tenant: str, model: str, region: str, operation: str, dialect: str, code: str, backend: str) -> str:
    return _inner({
        "tenant": tenant, "model": model, "region": region, "operation": operation, "dialect": dialect, "code": code,
        "backend": backend,
    })  # fmt: skip


def _inner(made: dict[str, str]) -> str:
    return orjson.dumps(made).decode()[1:-1]


def _details(usage: Usage) -> str:
    """Return what few attempts have to tell of their tokens, as a part of a line."""
    text = ""
    if usage.cached:
        text += f',"cached":{usage.cached}'
    if usage.written:
        text += f',"written":{usage.written}'
    if usage.reasoning:
        text += f',"reasoning":{usage.reasoning}'
    if usage.estimated:
        text += ',"estimated":true'
    if usage.cost is not None:
        text += f',"told":{usage.cost}'
    return text


def _read_started(found: dict[str, Any]) -> Started:
    return Started(
        **_common(found), prompt=_whole(found["prompt"]), answer=_whole(found["answer"]), cost=_whole(found["cost"])
    )


def _read_attempt(found: dict[str, Any]) -> Attempt:
    started = Started(**_common(found), prompt=0, answer=0, cost=0)
    ended = Ended(
        started.call,
        started.n,
        _whole(found["ended"]),
        _OUTCOMES[found["outcome"]],
        _text(found.get("fault", "")),
        _usage(found),
        _whole(found["cost"]),
        _BASES[found["basis"]],
        _whole(found["table"]),
        found.get("priced", True) is True,
        _seconds(found["seconds"]),
        _text(found.get("prices", "")),
    )
    return Attempt(started, ended)


def _read_call(found: dict[str, Any]) -> Called:
    return Called(
        call=_text(found["call"]),
        at=_whole(found["at"]),
        tenant=_text(found["tenant"]),
        model=_text(found["model"]),
        region=_text(found["region"]),
        operation=_text(found["operation"]),
        dialect=_text(found["dialect"]),
        stream=found["stream"] is True,
        status=_whole(found["status"]),
        code=_text(found["code"]),
        backend=_text(found["backend"]),
        attempts=_whole(found["attempts"]),
        usage=_usage(found),
        cost=_whole(found["cost"]),
        estimated=_whole(found["estimated_cost"]),
        seconds=_seconds(found["seconds"]),
    )


def _read_sums(found: dict[str, Any]) -> Summed:
    rows = rows_in(found["rows"])
    return Summed(tuple((key, tuple(sums)) for key, sums in rows.items()), _whole(found["records"]))


_READ: Final[dict[str, Callable[[dict[str, Any]], Record]]] = {
    "started": _read_started,
    "attempt": _read_attempt,
    "call": _read_call,
    "sums": _read_sums,
}


def _common(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "call": _text(found["call"]),
        "n": _whole(found["n"]),
        "at": _whole(found["at"]),
        "tenant": _text(found["tenant"]),
        "model": _text(found["model"]),
        "region": _text(found["region"]),
        "backend": _text(found["backend"]),
        "upstream": _text(found["upstream"]),
        "credential": _text(found["credential"]),
        "mode": _text(found["mode"]),
    }


def _usage(found: dict[str, Any]) -> Usage:
    told = found.get("told")
    return Usage(
        _whole(found["prompt"]),
        _whole(found["completion"]),
        _whole(found.get("cached", 0)),
        _whole(found.get("reasoning", 0)),
        estimated=found.get("estimated") is True,
        written=_whole(found.get("written", 0)),
        cost=None if told is None else _whole(told),
    )


def _text(given: Any) -> str:
    if type(given) is not str:
        raise ValueError("no text")
    return given


def _seconds(given: Any) -> float:
    if type(given) is not float or not 0 <= given < _MOST:
        raise ValueError("no time")
    return given


def _whole(given: Any) -> int:
    if type(given) is not int or not 0 <= given < _MOST:
        raise ValueError("no number of a thing")
    return given
