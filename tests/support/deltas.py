"""Pieces of streams, usual and odd, as an OpenAI upstream sends them; a short way must say them as a long one does."""

from typing import Any, Final

from hypothesis import strategies as st

_PIECES = st.sampled_from([None, "", "a", "é你", 7])
_CALLED = st.fixed_dictionaries({}, optional={"name": _PIECES, "arguments": _PIECES | st.just('{"a":1}')})
_CALLS = st.none() | st.lists(
    st.none()
    | st.fixed_dictionaries(
        {}, optional={"index": st.sampled_from([0, 0, 1, "x"]), "id": _PIECES, "type": _PIECES, "function": _CALLED}
    ),
    max_size=2,
)
_DELTAS = st.one_of(
    st.fixed_dictionaries({"content": _PIECES}, optional={"refusal": _PIECES}),
    st.fixed_dictionaries({"reasoning_content": _PIECES}, optional={"content": _PIECES}),
    st.fixed_dictionaries({"tool_calls": _CALLS}, optional={"content": _PIECES, "role": st.just("assistant")}),
)
_CALL: dict[str, Any] = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
_MORE: dict[str, Any] = {"index": 0, "function": {"arguments": "é"}}

Pieces = list[tuple[Any, Any]]
"""Deltas of one choice, each with its finish reason."""

STREAMS: Final = st.lists(st.tuples(_DELTAS, st.sampled_from([None, None, None, "stop"])), max_size=8)

THOUGHT_THEN_TEXT: Final[Pieces] = [
    ({"reasoning_content": "a"}, None), ({"reasoning_content": "b"}, None), ({"content": "c"}, None),
]  # fmt: skip
CALLS_THAT_CHANGE: Final[Pieces] = [
    ({"tool_calls": [one]}, None) for one in (_CALL, _MORE, {**_MORE, "id": "d"}, {**_MORE, "index": 1}, _MORE, None)
]
SEVERAL_AT_ONCE: Final[Pieces] = [
    ({"tool_calls": [_CALL]}, None), ({"tool_calls": [_MORE, _MORE]}, None), ({"tool_calls": [_MORE], "x": 1}, None),
]  # fmt: skip
