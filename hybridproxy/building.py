"""Parts that are built from the configuration, or the reason why the server cannot start."""

import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aiohttp
from aiohttp import http_parser

from geo.database import CountryDatabase, DatabaseError
from geo.locate import Locator
from hybridproxy.config.mistakes import ConfigError, Mistake
from hybridproxy.config.settings import Configuration, Settings
from hybridproxy.gateway.running import Running
from hybridproxy.ingress.connection import AIOHTTP_VERSION
from hybridproxy.residency.policy import policy_hash
from hybridproxy.stores.anchor import Anchor, FileSink, HttpSink
from hybridproxy.stores.audit import Audit
from hybridproxy.stores.ledger import FileLedger
from hybridproxy.stores.segments import Segments
from hybridproxy.stores.signing import KeyFileError, key_at

Log = Callable[..., None]
"""Takes events by name."""


class StartError(Exception):
    """The server cannot start; the text says why and what to do."""


def check_parts() -> None:
    """Refuse to start on parts that are known to be unsafe or far too slow.

    Raises:
        StartError: aiohttp is another version, or came without its C extension.

    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartError("aiohttp's C parser is not loaded: install its wheel and unset AIOHTTP_NO_EXTENSIONS")
    if aiohttp.__version__ != AIOHTTP_VERSION:
        raise StartError(f"aiohttp is {aiohttp.__version__}, this version is made for {AIOHTTP_VERSION}: install that")


def today() -> str:
    """Return the day, in UTC, as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def make_running(configuration: Configuration) -> Running:
    """Return the configuration with what is built from it. Reads the country database, so not on the loop.

    Raises:
        ConfigError: the database cannot be used.

    """
    geo = configuration.settings.geo
    try:
        database = CountryDatabase.open(geo.database)
    except DatabaseError as error:
        mistake = Mistake(str(configuration.sources[0]), 0, 0, "geo.database", str(error))
        raise ConfigError([mistake]) from None
    locator = Locator(database, geo.overrides)
    return Running(configuration.snapshot, configuration.settings, locator, policy_hash(configuration.snapshot))


def anchoring(settings: Settings, log: Log) -> Anchor | None:
    """Return what sends the audit log's heads elsewhere, None where the configuration names no place."""
    audit = settings.audit
    if audit is None or audit.anchor is None:
        return None
    sink = FileSink(audit.anchor) if isinstance(audit.anchor, Path) else HttpSink(audit.anchor)
    return Anchor(sink, log)


def auditing(settings: Settings, policy: str, log: Log, anchor: Anchor | None) -> Audit | None:
    """Return the audit log, None where the configuration has none.

    Args:
        settings: of the process.
        policy: the policy's hash.
        log: takes events.
        anchor: takes the log's heads.

    Raises:
        StartError: its key cannot be used.

    """
    audit = settings.audit
    if audit is None:
        return None
    try:
        key = key_at(audit.key)
    except KeyFileError as error:
        raise StartError(f"audit.key: {error}") from None
    return Audit(
        Segments(audit.folder),
        key,
        policy,
        wall=time.time,
        new_id=partial(secrets.token_hex, 8),
        log=log,
        heads=anchor,
    )


def bookkeeping(settings: Settings, log: Log) -> FileLedger | None:
    """Return the ledger, None where the configuration has none."""
    ledger = settings.ledger
    if ledger is None:
        return None
    return FileLedger(ledger.folder, keep=ledger.keep, wall=time.time, new_id=partial(secrets.token_hex, 8), log=log)
