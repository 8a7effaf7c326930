"""Tests of what a request refers to that an upstream keeps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.kept import kept_in, kept_in_parts

JSON = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"container": "cntr_1"}, "container"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_reference"),
        ({"input": [{"content": [{"type": "input_file", "file_id": "f"}]}]}, "file_id"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "vector_store_ids"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]}, "file_ids"),
        ({"messages": [{"content": [[{"source": {"type": "file", "file_id": "f"}}]]}]}, "file_id"),
        ({"messages": [{"content": [{"type": ["tool_use"], "input": {"file_id": "f"}}]}]}, "file_id"),
        ({"tools": [{"type": "other", "parameters": {"file_id": "f"}}]}, "file_id"),
    ],
)
def test_a_reference_is_found_wherever_it_stands(body: dict[str, Any], name: str) -> None:
    """Each may be another tenant's, whose id somebody learnt."""
    assert kept_in(body) == name


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"previous_response_id": None, "conversation": None, "prompt": "Once", "container": {"type": "auto"}},
        {"messages": [{"content": [{"type": "text", "text": "file_id"}], "container": 7}], "file_ids": []},
        {"tools": [{"name": "f", "input_schema": {"properties": {"file_id": {"type": "string"}}}}]},
        {"tools": [{"type": "function", "name": "f", "parameters": {"properties": {"container": {"id": "x"}}}}]},
        {"messages": [{"content": [{"type": "tool_use", "name": "f", "input": {"file_id": "f1"}}]}]},
        {"output_config": {"format": {"type": "json_schema", "schema": {"properties": {"file_ids": {"a": 1}}}}}},
    ],
)
def test_what_refers_to_nothing_is_free(body: dict[str, Any]) -> None:
    """An empty field, a text that holds such a word, a container that is made for the call, a function's own words."""
    assert kept_in(body) == ""


def test_a_chat_refers_to_files_in_its_parts() -> None:
    """A file with its data is no reference."""
    file = {"type": "file", "file": {"file_id": "f"}}
    assert kept_in_parts({"messages": [{"content": "hi"}, {"content": [file, "x"]}]}) == "file_id"
    data = {"type": "file", "file": {"file_data": "data:…"}}
    assert kept_in_parts({"messages": [{"content": [data, {"type": "text", "text": "hi"}]}]}) == ""


@given(JSON)
def test_nothing_makes_it_raise(value: Any) -> None:
    """Whatever a caller wrote."""
    assert isinstance(kept_in(value), str)
