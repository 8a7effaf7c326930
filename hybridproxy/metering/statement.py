"""What a budget owner asks of the ledger, and the answer: rows and a total, as JSON, CSV or columns of text.

Money is nano-dollars inside and leaves as decimal text that is exact, never as a binary fraction.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from hybridproxy.metering.report import BY, COST, FIELDS, TABLE, Key, grouped, total
from hybridproxy.model.price import dollars
from hybridproxy.model.value import value

DEFAULT_BY: Final = ("tenant", "model", "backend")

NAMES: Final = {
    "calls": "calls",
    "attempts": "attempts",
    "unknown": "unknown_attempts",
    "unpriced": "unpriced_attempts",
    "prompt": "prompt_tokens",
    "cached": "cached_tokens",
    "written": "written_tokens",
    "completion": "completion_tokens",
    "reasoning": "reasoning_tokens",
    "guessed": "estimated_tokens",
    "cost": "cost_usd",
    "estimated": "estimated_usd",
    "upstream": "upstream_usd",
    "table": "table_usd",
}
"""The order and the names of the columns; `difference_usd` is behind them."""

MONEY: Final = frozenset({"cost", "estimated", "upstream", "table"})
EMPTY: Final = {"tenant": "(own probes)", "model": "(none)", "backend": "(none)", "region": "(none)"}
"""What columns of text show where there is no name."""

_NUMBER: Final = re.compile(r"-[0-9]+(\.[0-9]+)?")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class QuestionError(Exception):
    """What is asked for cannot be; the text says why."""


@value
class Question:
    """What is asked for.

    Attributes:
        by: the parts of a row's key, in their order.
        tenant: None: all.
        since: the first day, "": the first there is.
        until: the day before which, "": the last there is counts too.

    """

    by: tuple[str, ...] = DEFAULT_BY
    tenant: str | None = None
    since: str = ""
    until: str = ""


def question(by: str | None, tenant: str | None, since: str | None, until: str | None) -> Question:
    """Return a question in somebody's words; empty or None: the default.

    Raises:
        QuestionError: it cannot be understood.

    """
    names = tuple(name.strip() for name in by.split(",")) if by else DEFAULT_BY
    if len(set(names)) < len(names) or not set(names) <= set(BY):
        raise QuestionError(f"by: expected some of {', '.join(BY)}, each once, with commas between them")
    asked = Question(names, tenant, _day("since", since), _day("until", until))
    if asked.until and asked.since >= asked.until:
        raise QuestionError("until: is the day after the last one, so it has to be after since")
    return asked


def _day(what: str, text: str | None) -> str:
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise QuestionError(f"{what}: expected a day, as 2026-10-01") from None


def shown(sums: Sequence[int]) -> dict[str, Any]:
    """Return sums by their public names."""
    made: dict[str, Any] = {}
    for name, public in NAMES.items():
        number = sums[FIELDS.index(name)]
        made[public] = dollars(number) if name in MONEY else number
    return made | {"difference_usd": dollars(sums[COST] - sums[TABLE])}


def answer(rows: Mapping[Key, Sequence[int]], asked: Question, notes: Iterable[str] = ()) -> dict[str, Any]:
    """Return the answer to a question, of rows that were chosen for it."""
    groups = grouped(rows, asked.by)
    return {
        "tenant": asked.tenant,
        "since": asked.since or None,
        "until": asked.until or None,
        "by": list(asked.by),
        "rows": [dict(zip(asked.by, names, strict=True)) | shown(sums) for names, sums in groups.items()],
        "total": shown(total(groups.values())),
        "notes": list(notes),
    }


def notes_of(*, running: int = 0, folded: int = 0, unreadable: int = 0, junk: int = 0) -> list[str]:
    """Return what whoever reads the sums has to know of them.

    Args:
        running: attempts that were in flight when their process ended, and are not closed yet.
        folded: records that are there as sums only.
        unreadable: lines of the ledger that are no records.
        junk: entries in Redis that no worker wrote.

    """
    told = (
        (running, "in flight when their process ended: counted with what was expected of them"),
        (folded, "written as sums only, since the disk was not well: in these sums, not among single records"),
        (unreadable, "not counted: lines of the ledger that cannot be read"),
        (junk, "not counted: entries in Redis that no worker wrote"),
    )
    return [f"{count:,} {what}" for count, what in told if count]


def as_csv(answered: Mapping[str, Any]) -> str:
    """Return an answer's rows as CSV, with a line of names first; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    columns = [*answered["by"], *answered["total"]]
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in answered["rows"]:
        writer.writerow([_cell(row[column]) for column in columns])
    return text.getvalue()


def _cell(found: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula; amounts, of which some are negative, stay numbers."""
    text = str(found)
    return "'" + text if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else found


COLUMNS: Final = {
    "calls": "calls",
    "attempts": "attempts",
    "tokens in": "prompt_tokens",
    "cached": "cached_tokens",
    "tokens out": "completion_tokens",
    "dollars": "cost_usd",
    "of that estimated": "estimated_usd",
    "unpriced": "unpriced_attempts",
}
"""What columns of text show."""


def as_columns(answered: Mapping[str, Any]) -> list[list[str]]:
    """Return an answer as cells of text: the names, the rows, the total."""
    by = answered["by"]
    table = [[*by, *COLUMNS]]
    for row in answered["rows"]:
        names = [row[name] or EMPTY.get(name, "") for name in by]
        table.append([*names, *(_text(row[column]) for column in COLUMNS.values())])
    ends = [_text(answered["total"][column]) for column in COLUMNS.values()]
    return [*table, ["total", *([""] * (len(by) - 1)), *ends]]


def _text(found: int | str) -> str:
    """Return a number as people read it; money to a millionth, with all its digits where that would hide it."""
    if isinstance(found, int):
        return f"{found:,}"
    whole, _, rest = found.partition(".")
    return found if rest[6:].strip("0") and not rest[:6].strip("0") and whole in {"0", "-0"} else f"{whole}.{rest[:6]}"
