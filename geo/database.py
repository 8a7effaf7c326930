"""The country database: a MaxMind DB file, mapped into memory.

Failure mode: a look-up never raises and never waits; whatever is wrong becomes a `Location` without a country.
A new file that is bad is refused with the reason, and the one in use stays.
"""

import os
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import maxminddb
from maxminddb import MODE_MMAP, MODE_MMAP_EXT

from geo.countries import CONTINENT_OF
from geo.location import FAILED, UNKNOWN, Location
from geo.networks import pack

try:
    from maxminddb import extension as _extension

    _FAST = hasattr(_extension, "Reader")
except ImportError:  # pragma: no cover - installed without its C part
    _FAST = False

BUILTIN: Final = Path(__file__).with_name("data") / "country.mmdb"
"""The file that comes with the package; its origin and licence lie beside it."""

MAX_BYTES: Final = 1 << 30
"""The largest file taken, in bytes; it is held in memory."""

_FOUND: Final = {
    country: Location(country, continent, "database", "country") for country, continent in CONTINENT_OF.items()
}
_PROBES: Final = ("0.0.0.0", "8.8.8.8", "255.255.255.255")
_PROBES_IPV6: Final = ("::1", "2001:4860:4860::8888")
_SAMPLE: Final = 1000  # records read to see whether they tell countries
_ADVICE: Final = "Give a GeoLite2 or GeoIP2 Country or City .mmdb file."


class DatabaseError(Exception):
    """A file cannot be used as a country database; the text says which, why, and what would do."""


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """What a database says of itself.

    Attributes:
        path: Where it was read from.
        type: Such as "GeoLite2-Country".
        built: When its maker built it, UTC.
        nodes: Nodes of its search tree, which grow with the networks it tells apart.
    """

    path: Path
    type: str
    built: datetime
    nodes: int


@dataclass(frozen=True, slots=True)
class _Opened:
    reader: maxminddb.Reader | None
    info: DatabaseInfo


class CountryDatabase:
    """Countries by address. Look-ups may run in other threads than `swap` and `close`."""

    __slots__ = ("_opened",)

    def __init__(self, opened: _Opened) -> None:
        # One reference holds all there is of a file, so a swap is one assignment. The old reader unmaps its file when
        # the last look-up that holds it is done.
        self._opened = opened

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        """Open a GeoLite2 or GeoIP2 Country or City file; None opens the built-in one.

        Raises:
            DatabaseError: There is no such file, or it is no country database.
        """
        return cls(_open(path))

    @property
    def info(self) -> DatabaseInfo:
        """What the file in use, or the last one, says of itself."""
        return self._opened.info

    @property
    def fast(self) -> bool:
        """Whether maxminddb's C extension reads the file: 1 µs a look-up instead of 20."""
        return _FAST

    def look_up(self, address: str) -> Location:
        """Return the country of an address written exactly as one. Never raises."""
        reader = self._opened.reader
        # The C reader would take 127.1 or 0x7f.1 as well.
        if reader is None or pack(address) is None:
            return FAILED
        try:
            record: Any = reader.get(address)
            return UNKNOWN if record is None else _FOUND.get(_country(record), UNKNOWN)
        except Exception:  # noqa: BLE001 - the file comes from outside; no content of it may stop a call
            return FAILED

    def swap(self, path: Path | str | None) -> None:
        """Use another file from now on. Reads the whole file, so call it in a thread.

        Raises:
            DatabaseError: The new file cannot be used; the old one stays.
        """
        self._opened = _open(path)

    def close(self) -> None:
        """Let the file go; look-ups from now on fail with source "error"."""
        self._opened = _Opened(None, self._opened.info)


def _country(record: Any) -> Any:
    """Return the country code of a record; where the users are unknown, that of the network's registration."""
    try:
        return record["country"]["iso_code"]
    except KeyError:
        return record.get("registered_country", {}).get("iso_code")


def _open(path: Path | str | None) -> _Opened:
    where = BUILTIN if path is None else Path(path)
    try:
        reader = _map(where) if path is None else _map_copy(where)
        metadata = reader.metadata()
        built = datetime.fromtimestamp(metadata.build_epoch, UTC)
        for probe in _PROBES + (_PROBES_IPV6 if metadata.ip_version == 6 else ()):
            reader.get(probe)
        countries = sum(_country(record) in CONTINENT_OF for _, record in islice(reader, _SAMPLE))
    except Exception as error:  # a file from outside can be wrong in any way
        reason = f"{type(error).__name__}: {error}"
        raise DatabaseError(f"{where} cannot be read as a country database ({reason}). {_ADVICE}") from error
    if not countries:
        raise DatabaseError(f"{where} ({metadata.database_type!r}) has no countries in it. {_ADVICE}")
    return _Opened(reader, DatabaseInfo(where, metadata.database_type, built, metadata.node_count))


def _map(path: Path) -> maxminddb.Reader:
    return maxminddb.open_database(os.fspath(path), MODE_MMAP_EXT if _FAST else MODE_MMAP)


def _map_copy(path: Path) -> maxminddb.Reader:
    """Map a private copy in memory: whoever overwrites a mapped file in place kills the process with SIGBUS."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a regular file")
    if found.st_size > MAX_BYTES:
        raise ValueError(f"{found.st_size} bytes, more than {MAX_BYTES}")
    if not hasattr(os, "memfd_create"):  # not Linux
        return _map(path)
    with path.open("rb") as source, os.fdopen(os.memfd_create(path.name[:64]), "wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        return _map(Path(f"/proc/self/fd/{copy.fileno()}"))
