"""What a call's course depends on."""

import pytest

from hybridproxy.resilience.terms import Terms


@pytest.mark.parametrize(("size", "tokens"), [(0, 1), (3, 1), (4_000, 1_000)])
def test_the_input_is_estimated_by_its_size(size: int, tokens: int) -> None:
    """Four bytes a token, and nothing is free."""
    assert Terms(stream=True, size=size).prompt == tokens
