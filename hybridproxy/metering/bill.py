"""What attempts are charged for: from what was reported and seen of each, once all of them are over.

The upstream's own word on the cost wins over the table. Of tokens that nobody reported there is an estimate that says
it is one: the input is that of another attempt of the same call where one was reported; the output is what was seen of
it, and of an answer that would have come in one piece what may have been made meanwhile. Of what was not sent, or was
refused, nothing is charged.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hybridproxy.families.family import Family
from hybridproxy.model.bill import NO_BILL, Basis, Bill
from hybridproxy.model.price import Price
from hybridproxy.model.usage import NOTHING_SEEN, Seen, Usage
from hybridproxy.model.value import value

UNSEEN_RATE: Final = 50
"""Tokens a second that are taken to be made of an answer that nobody sees grow. Ours: hosts of Qwen make 40 to 100."""


@value
class Attempted:
    """What is known of an attempt when its call is over.

    Attributes:
        price: what its tokens cost.
        usage: as the upstream reported it last, None: never.
        seen: output that came after that report.
        billed: it was sent whole and not refused, so the upstream may charge for it.
        whole: the answer came to its end, so that a report is all.
        again: it was sent twice, the first time over a connection that turned out to be dead.
        ahead: tokens of the answer that it was sent to be gone on with.
        unseen: tokens of output that may have been made though nothing of it was seen.
        left: we ended it, so that more may have been made than what was reported last.

    """

    price: Price
    usage: Usage | None
    seen: Seen = NOTHING_SEEN
    billed: bool = True
    whole: bool = True
    again: bool = False
    ahead: int = 0
    unseen: int = 0
    left: bool = False


def bills(attempts: Sequence[Attempted], prompt: int, family: Family) -> list[Bill]:
    """Return what each attempt of a call is charged for.

    Args:
        attempts: of one call, and so with the same input.
        prompt: tokens of that, as estimated.
        family: of the models.

    """
    for one in attempts:
        if one.usage is not None and one.usage.prompt > one.ahead:
            prompt = one.usage.prompt - one.ahead
            break
    return [bill(one, prompt, family) for one in attempts]


def bill(one: Attempted, prompt: int, family: Family) -> Bill:
    """Return what one attempt is charged for; `prompt`: tokens of the call's input, as well as they are known."""
    if not one.billed and _says_nothing(one.usage):
        if not one.again:
            return NO_BILL
        # it was refused when it came again: the first time it may have been read
        return bill(Attempted(one.price, None, whole=False, ahead=one.ahead), prompt, family)
    usage = used(one, prompt, family)
    told, table = usage.cost, one.price.of(usage)
    cost, basis = (table, Basis.TABLE) if told is None else (told, Basis.UPSTREAM)
    if one.again:
        more = one.price.of(Usage(prompt + one.ahead, 0))
        usage = replace(usage, prompt=usage.prompt + prompt + one.ahead, estimated=True)
        cost, table = cost + more, table + more
    if usage.estimated:
        basis = Basis.ESTIMATE
    return Bill(usage, cost, basis, table, not one.price.stands_in)


def used(one: Attempted, prompt: int, family: Family) -> Usage:
    """Return the tokens of an attempt: as reported, and what was seen beyond that by an estimate."""
    usage = one.usage
    if usage is None or _says_nothing(usage):
        made = tokens(one.seen, family)
        completion = max(made, one.unseen)
        thought = made * one.seen.thought // max(1, one.seen.text)
        return Usage(prompt + one.ahead, completion, reasoning=thought, estimated=True)
    made = 0 if one.whole else tokens(one.seen, family)
    if not made:
        # a report that has the cost comes at the end
        return replace(usage, estimated=True) if one.left and usage.cost is None else usage
    thought = made * one.seen.thought // max(1, one.seen.text)
    return replace(
        usage,
        completion=usage.completion + made,
        reasoning=usage.reasoning + thought,
        estimated=True,
        cost=None,
    )


def tokens(seen: Seen, family: Family) -> int:
    """Return about how many tokens an output has: by its text, and at least one for each event that said something.

    What a character beyond ASCII has more than one byte of tells about how many are Chinese, Japanese or Korean: these
    have three.
    """
    cjk = min(seen.wide // 2, seen.text)
    by_text = int((seen.text - cjk) * family.tokens_per_byte + cjk * family.tokens_per_cjk)
    return max(by_text, seen.events)


def _says_nothing(usage: Usage | None) -> Any:
    """Return whether a report has no tokens and no cost: some servers send one that is all zeros."""
    return usage is None or not (usage.prompt or usage.completion or usage.cost)
