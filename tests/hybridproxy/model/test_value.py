"""Values: equal by what they hold, changed by nobody who was type-checked."""

from typing import TYPE_CHECKING

import pytest

from hybridproxy.model.value import value
from tests.support.make import call


@value
class Point:
    """Two numbers."""

    x: int
    y: int = 0


def test_values_are_compared_and_hashed_by_what_they_hold() -> None:
    """Two values with the same fields are the same value."""
    assert Point(1) == Point(1, 0) != Point(1, 2)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"


def test_a_value_has_its_fields_and_no_others() -> None:
    """A misspelt field is an error at run time too."""
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]


if TYPE_CHECKING:
    # The type checker refuses to change a value; strict mypy also refuses an ignore that is not needed, so these lines
    # fail the check on the day they would be allowed.
    Point(1).x = 2  # type: ignore[misc]
    call().model = "another"  # type: ignore[misc]
