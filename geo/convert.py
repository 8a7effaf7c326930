"""Make the built-in country database from the text files of Debian's package `tor-geoipdb`.

    python -m geo.convert --ipv4 geoip --ipv6 geoip6 --out geo/data/country.mmdb

Each line of those files is `first,last,country`; IPv4 addresses are written as integers, IPv6 ones as usual. The result
is a MaxMind DB file (https://maxmind.github.io/MaxMind-DB/) that reads like GeoLite2-Country. The same input gives the
same bytes.
"""

import argparse
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from geo.countries import CONTINENT_OF
from geo.networks import pack

DATABASE_TYPE: Final = "IPFire-Country (compat=GeoLite2-Country)"
"""geoip2 asks for "Country" in the name; the maker's name is not MaxMind's."""

DESCRIPTION: Final = "Countries from the IPFire Location database, location.ipfire.org, CC BY-SA 4.0, converted"

_ADDRESS_BITS: Final = 128  # an IPv6 tree, in which IPv4 lies under ::/96
_MARKER: Final = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR: Final = bytes(16)
_NARROW: Final = 1 << 24  # a tree entry has 24 bits where all positions fit, else 32
_NOTHING: Final = -1  # an entry of the tree: -1 nothing, -2 - n record n, from 0 up a node
_STRING, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 2, 5, 6, 7, 9, 11


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses of one country, as integers, both ends included."""

    first: int
    last: int
    country: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a text file holds.

    Attributes:
        generated: The date in its header.
        ranges: Sorted, disjoint, neighbours of one country joined; codes that are no country left out.
        skipped: How many lines had such a code (`??`, `EU`, `AP` ...).
    """

    generated: datetime
    ranges: tuple[Range, ...]
    skipped: int


def read(name: str, lines: Iterable[str], bits: int) -> Source:
    """Read one text file.

    Args:
        name: For messages.
        lines: The file.
        bits: 32 for the IPv4 file, 128 for the IPv6 one.

    Raises:
        ValueError: A line is not as it should be, or there is no date; the message says which line.
    """
    generated: datetime | None = None
    ranges: list[Range] = []
    skipped = 0
    # IPv4 lies at the bottom of the IPv6 space: the IPv6 file may not reach into it.
    end = -1 if bits == 32 else (1 << 32) - 1
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if line.startswith("# Generated:"):
            generated = parsedate_to_datetime(line.partition(":")[2].strip())
        if not line or line.startswith("#"):
            continue
        try:
            low, high, country = line.split(",")
            first, last = _address(low, bits), _address(high, bits)
        except ValueError as error:
            raise ValueError(f"{name}:{number}: {line[:80]!r} is not `first,last,country`") from error
        if not end < first <= last < 1 << bits:
            raise ValueError(f"{name}:{number}: {line[:80]!r} overlaps the line before or is out of range")
        end = last
        if country not in CONTINENT_OF:
            skipped += 1
        elif ranges and ranges[-1].country == country and ranges[-1].last + 1 == first:
            ranges[-1] = Range(ranges[-1].first, last, country)
        else:
            ranges.append(Range(first, last, country))
    if generated is None:
        raise ValueError(f"{name}: no line `# Generated: <date>`; is this the file of tor-geoipdb?")
    return Source(generated.astimezone(UTC), tuple(ranges), skipped)


def _address(written: str, bits: int) -> int:
    if bits == 32:
        return int(written)
    packed = pack(written)
    if packed is None or len(packed) != 16:
        raise ValueError(written)
    return int.from_bytes(packed)


def write(ranges: Sequence[Range], generated: datetime) -> bytes:
    """Return the database file.

    Args:
        ranges: Sorted and disjoint, in the IPv6 space; IPv4 addresses are its lowest 2^32.
        generated: The date of the source, which becomes the file's build date.
    """
    countries = sorted({found.country for found in ranges})
    records = [
        _encode({"continent": {"code": CONTINENT_OF[country]}, "country": {"iso_code": country}})
        for country in countries
    ]
    nodes = _tree(ranges, {country: number for number, country in enumerate(countries)})

    # What a tree entry means to readers: below the node count a node, equal to it nothing, above it data.
    count = len(nodes)
    data = [count + len(_SEPARATOR) + sum(map(len, records[:number])) for number in range(len(records))]
    size = 24 if max([count, *data]) < _NARROW else 32
    pointers = {_NOTHING: count} | {-2 - number: pointer for number, pointer in enumerate(data)}
    tree = bytearray()
    # Children were numbered before their parents; the root, last of all, has to come first.
    for left, right in reversed(nodes):
        for entry in (left, right):
            tree += struct.pack(">I", count - 1 - entry if entry >= 0 else pointers[entry])[4 - size // 8 :]

    metadata = {
        "binary_format_major_version": _Number(_UINT16, 2),
        "binary_format_minor_version": _Number(_UINT16, 0),
        "build_epoch": _Number(_UINT64, int(generated.timestamp())),
        "database_type": DATABASE_TYPE,
        "description": {"en": DESCRIPTION},
        "ip_version": _Number(_UINT16, 6),
        "languages": [],
        "node_count": _Number(_UINT32, count),
        "record_size": _Number(_UINT16, size),
    }
    return b"".join((tree, _SEPARATOR, *records, _MARKER, _encode(metadata)))


def _tree(ranges: Sequence[Range], number_of: dict[str, int]) -> list[tuple[int, int]]:
    """Return the binary tree over all addresses, children before parents, equal subtrees once."""
    nodes: dict[tuple[int, int], int] = {}

    def entry(start: int, bits: int, low: int, high: int) -> int:
        """Cover the 2^bits addresses from `start`; only ranges[low:high] reach into them."""
        if low == high:
            return _NOTHING
        last = start + (1 << bits) - 1
        found = ranges[low]
        if found.first <= start and found.last >= last:
            return -2 - number_of[found.country]
        return nodes.setdefault(halves(start, bits, low, high), len(nodes))

    def halves(start: int, bits: int, low: int, high: int) -> tuple[int, int]:
        middle = start + (1 << (bits - 1))
        cut = _first_reaching(ranges, middle, low, high)  # the first range that ends in the right half
        left_end = cut + (cut < high and ranges[cut].first < middle)  # it may begin in the left one
        return entry(start, bits - 1, low, left_end), entry(middle, bits - 1, cut, high)

    root = halves(0, _ADDRESS_BITS, 0, len(ranges))
    # The root is a node even when there are no ranges; higher than any subtree, it equals none.
    nodes.setdefault(root, len(nodes))
    return list(nodes)


def _first_reaching(ranges: Sequence[Range], address: int, low: int, high: int) -> int:
    """Return the index in low..high of the first range that ends at or after an address."""
    while low < high:
        middle = (low + high) // 2
        if ranges[middle].last < address:
            low = middle + 1
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class _Number:
    kind: int
    value: int


def _encode(value: object) -> bytes:
    """Write a value as the format's data section does."""
    if isinstance(value, str):
        content = value.encode()
        return _control(_STRING, len(content)) + content
    if isinstance(value, _Number):
        content = value.value.to_bytes((value.value.bit_length() + 7) // 8)
        return _control(value.kind, len(content)) + content
    if isinstance(value, list):
        return _control(_ARRAY, len(value)) + b"".join(map(_encode, value))
    if isinstance(value, dict):
        return _control(_MAP, len(value)) + b"".join(_encode(key) + _encode(item) for key, item in value.items())
    raise TypeError(f"{type(value).__name__} has no place in the metadata")


def _control(kind: int, size: int) -> bytes:
    """Write kind and size: kinds above 7 and sizes from 29 take a byte more each."""
    if size >= 29 + 256:
        raise ValueError(f"a value of {size} bytes is longer than this writer needs")
    head = min(size, 29)
    lead = bytes([kind << 5 | head]) if kind <= 7 else bytes([head, kind - 7])
    return lead + (bytes([size - 29]) if size >= 29 else b"")


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; return the exit status: 0 done, 1 a file is not as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m geo.convert", description="Make a country database from the text files of tor-geoipdb."
    )
    parser.add_argument("--ipv4", type=Path, required=True, help="the file `geoip`")
    parser.add_argument("--ipv6", type=Path, required=True, help="the file `geoip6`")
    parser.add_argument("--out", type=Path, required=True, help="the .mmdb file to write")
    given = parser.parse_args(arguments)
    try:
        sources = []
        for path, bits in ((given.ipv4, 32), (given.ipv6, 128)):
            with path.open(encoding="ascii") as lines:
                sources.append(read(path.name, lines, bits))
        ranges = [found for source in sources for found in source.ranges]
        generated = max(source.generated for source in sources)
        content = write(ranges, generated)
        beside = given.out.with_name(given.out.name + ".new")
        beside.write_bytes(content)
        beside.replace(given.out)
    except (OSError, ValueError) as error:
        print(f"geo.convert: {error}", file=sys.stderr)
        return 1
    skipped = sum(source.skipped for source in sources)
    print(
        f"{given.out}: {len(ranges)} ranges, {len(content)} bytes, data of {generated:%Y-%m-%d}; "
        f"{skipped} lines with a code that is no country left out"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
