"""Which calls a plane serves."""

import pytest

from hybridproxy.model.plane import Plane


@pytest.mark.parametrize(
    ("plane", "ordinary", "sovereign"),
    [(Plane.ALL, True, True), (Plane.GENERAL, True, False), (Plane.SOVEREIGN, False, True)],
)
def test_each_call_has_its_plane(plane: Plane, ordinary: bool, sovereign: bool) -> None:
    """The two planes share no call, and together they serve all."""
    assert (plane.serves(sovereign=False), plane.serves(sovereign=True)) == (ordinary, sovereign)
