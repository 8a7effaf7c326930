"""Small country databases, written by the project's own converter."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from geo.convert import Range, write
from geo.networks import pack


class MakeDatabase(Protocol):
    """Write a database in which each address given is in the country given."""

    def __call__(self, name: str, **address_of: str) -> Path:
        """Return the path of the file `name` with, say, `SG="165.21.83.88"`."""
        ...


@pytest.fixture
def make_database(tmp_path: Path) -> MakeDatabase:
    """Write a database in which each address given is in the country given."""

    def make(name: str, **address_of: str) -> Path:
        ranges = []
        for country, address in address_of.items():
            number = int.from_bytes(pack(address) or b"")
            ranges.append(Range(number, number, country))
        path = tmp_path / name
        path.write_bytes(write(sorted(ranges, key=lambda one: one.first), datetime(2026, 1, 2, tzinfo=UTC)))
        return path

    return make
