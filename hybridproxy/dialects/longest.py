"""The most tokens that a tenant's answers may have: sent upstream where its caller sets no bound of its own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.request import RequestError, spelled
from hybridproxy.model.call import ANSWER_BOUNDS, BOUNDS_OF, Call

_NAMES: Final = (*ANSWER_BOUNDS, "n_predict", "num_predict", "max_new_tokens", "max_output_tokens")
"""What upstreams call it, and some may go by alone: llama.cpp does by `n_predict`, whatever else is said."""


def bounded(call: Call, most: int) -> Call:
    """Return a call whose answer has so many tokens at most; as it is where it has a bound already.

    Args:
        call: the call.
        most: tokens of one answer, thoughts included where the upstream counts them.

    Raises:
        RequestError: it asks for more, for none or less, which to some upstreams is no bound, or for what is no number.
            It is not changed in silence: its caller would take an answer that breaks off for one that is too long.

    """
    said = BOUNDS_OF.get(call.operation)
    if said is None or "max_tokens" in call.bound:  # Anthropic's 0: it has no answer
        return call
    path, body = TRANSLATORS[call.dialect].longest, call.body
    own = _holder(body if call.native is None else call.native, path)
    within = "".join(f"{part}." for part in path[:-1])
    spelled(own, _NAMES, within)
    for name in _NAMES:
        asked = body.get(name)
        if asked is None:
            asked = own.get(name)
        if asked is not None and (type(asked) is not int or not 1 <= asked <= most):
            field = within + (name if name in own else path[-1])
            must = f"must be a whole number from 1 to {most:,}: answers to this key may have no more tokens"
            raise RequestError(f"{field!r} {must}", param=field)
    if any(body.get(name) is not None for name in said):
        return call
    native = call.native if call.native is None or not path else _with(call.native, path, most)
    return replace(call, body={**body, said[0]: most}, native=native)


def _holder(native: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the object in which the caller's own words have a bound."""
    for part in path[:-1]:
        native = native.get(part) or {}
    return native


def _with(native: Mapping[str, Any], path: tuple[str, ...], most: int) -> Mapping[str, Any]:
    """Return a caller's own words with the bound in them."""
    name, *rest = path
    return {**native, name: _with(native.get(name) or {}, tuple(rest), most) if rest else most}
