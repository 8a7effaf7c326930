"""`hybridproxy audit`: is the audit log whole, where did a tenant's calls connect, which key signs it."""

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, fail, load_config, print_columns, print_json, progress

if TYPE_CHECKING:
    from hybridproxy.config.settings import Audit
    from hybridproxy.residency.report import Place, Sum
    from hybridproxy.residency.verify import Proof

app = typer.Typer(help="The audit log.", no_args_is_help=True)

STEP: Final = 1 << 20

Folder = Annotated[Path | None, typer.Option("--path", help="Folder of the log. Default: the configuration's.")]


@app.callback()
def group() -> None:
    """Evidence of where calls went."""


@app.command()
def verify(
    path: Folder = None,
    anchor: Annotated[Path | None, typer.Option(help="File with the heads that were sent elsewhere.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Public key to trust, or a file with it; repeatable.")] = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Check every hash and signature of an audit log.

    Ends with status 1 and file:line when something was flipped, deleted, inserted, moved, repeated or, with an anchor,
    cut off at the end. Without an anchor the tail is unproven, and the result says so.

    Example: hybridproxy audit verify --path audit --anchor heads.log --key ed25519:5f1c…
    """
    from hybridproxy.residency.verify import Verifier
    from hybridproxy.stores.segments import lines_of
    from hybridproxy.stores.signing import is_signature

    files = _files(_folder(path, config, json=json))
    verifier = Verifier(is_signature, [_public_key(one) for one in key or ()])
    try:
        for file in files:
            verifier.prepare(next(lines_of(file), b""))
        if anchor is not None:
            verifier.anchor(str(anchor), lines_of(anchor))
        with progress("verifying", sum(file.stat().st_size for file in files)) as step:
            for file in files:
                verifier.read(file.name, _counted(file, step))
    except OSError as error:
        fail(f"{error.filename} cannot be read ({error.strerror})")
    proof = verifier.result()
    result = _shown(proof)
    if json:
        print_json(result)
    else:
        _print_proof(result)
    if not proof.sound:
        raise typer.Exit(FOUND)


@app.command()
def report(
    tenant: Annotated[str | None, typer.Option(help="The tenant's name. Default: all, and our own probes.")] = None,
    since: Annotated[str, typer.Option(help="Day or time, UTC where it does not say: 2026-10-01.")] = "",
    until: Annotated[str, typer.Option(help="Day or time before which; as --since.")] = "",
    path: Folder = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Show where a tenant's calls connected: backend, address, certificate, how often, how much, when.

    It sums up what the log says; `hybridproxy audit verify` says whether that is what was written.

    Example: hybridproxy audit report --tenant bank --since 2026-10-01 --until 2026-11-01
    """
    from hybridproxy.residency.chain import named, taken_apart
    from hybridproxy.residency.report import Report
    from hybridproxy.telemetry.logs import tenant_hash

    begin, end = _moment(since, "--since", 0), _moment(until, "--until", sys.maxsize)
    summed = Report(None if tenant is None else tenant_hash(tenant), begin, end)
    files = _files(_folder(path, config, json=json))
    boot = ""
    try:
        with progress("reading", sum(file.stat().st_size for file in files)) as step:
            for file in files:
                if named(file.name)[0] != boot:
                    boot = named(file.name)[0]
                    summed.next_chain()
                for raw in _counted(file, step):
                    line = taken_apart(raw.removesuffix(b"\n"))
                    if line is not None and line.record is not None:
                        summed.take(line.record)
    except OSError as error:
        fail(f"{error.filename} cannot be read ({error.strerror})")
    rows = [_row(place, found) for place, found in summed.places.items()]
    rows.sort(key=lambda row: (row["backend"], row["address"], row["certificate"]))
    if json:
        print_json({"tenant": tenant, "since": since or None, "until": until or None, "places": rows})
        return
    _print_rows(tenant, rows)


@app.command()
def key(
    new: Annotated[bool, typer.Option("--new", help="Make the key if it is not there yet.")] = False,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Print the public key that the log's heads are signed with: keep it where you keep the anchor.

    Example: hybridproxy audit key --config hybridproxy.yaml
    """
    from hybridproxy.stores.signing import PREFIX, KeyFileError, key_at, load_key

    audit = _settings(config, json=json)
    if not new and not audit.key.exists():
        fail(f"there is no key {audit.key} yet: the first start makes it, and so does --new")
    try:
        public = PREFIX + (key_at(audit.key) if new else load_key(audit.key)).public.hex()
    except KeyFileError as error:
        fail(str(error))
    if json:
        print_json({"key": public, "file": str(audit.key)})
    else:
        print(public)


def _settings(config: Path | None, *, json: bool) -> "Audit":
    audit = load_config(config, json_output=json).settings.audit
    if audit is None:
        fail("the configuration has no audit section: give the log's folder with --path")
    return audit


def _folder(path: Path | None, config: Path | None, *, json: bool) -> Path:
    return path if path is not None else _settings(config, json=json).folder


def _files(folder: Path) -> list[Path]:
    from hybridproxy.stores.segments import files_in

    try:
        files = files_in(folder)
    except OSError as error:
        fail(f"{folder} cannot be read ({error.strerror})")
    if not files:
        fail(f"there is no audit log in {folder}")
    return files


def _public_key(text: str) -> bytes:
    from hybridproxy.residency.chain import hexed
    from hybridproxy.stores.signing import PREFIX

    if len(text) < 64 or Path(text).is_file():
        try:
            text = Path(text).read_text()
        except (OSError, UnicodeDecodeError):
            fail("--key: expected ed25519: and 64 hex digits, or a file with that")
    found = hexed(text.strip().removeprefix(PREFIX).encode(), 32)
    if found is None:
        fail("--key: expected ed25519: and 64 hex digits, or a file with that")
    return found


def _moment(text: str, option: str, otherwise: int) -> int:
    """Return milliseconds of the epoch."""
    if not text:
        return otherwise
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: expected a day or a time, as 2026-10-01 or 2026-10-01T08:00:00Z")
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def _time(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(proof: "Proof") -> dict[str, Any]:
    unproven = sum(chain.unproven for chain in proof.chains)
    return {
        "ok": proof.sound,
        "findings": [{"file": f.file, "line": f.line, "what": f.what} for f in proof.findings],
        "more": proof.more,
        "notes": list(proof.notes),
        "tail": "unproven" if proof.anchored is None or unproven else "proven",
        "anchored_heads": proof.anchored,
        "records": sum(chain.records for chain in proof.chains),
        "chains": [
            {
                "boot": chain.boot,
                "key": chain.key,
                "records": chain.records,
                "first": chain.first,
                "last": chain.last,
                "unproven": chain.unproven,
                "ended": chain.ended,
                "torn": chain.torn,
            }
            for chain in proof.chains
        ],
    }


def _print_proof(result: dict[str, Any]) -> None:
    print(f"chains      {len(result['chains'])}")
    for chain in result["chains"]:
        end = "ended in order" if chain["ended"] else "torn by a crash" if chain["torn"] else "without an end"
        print(f"  {chain['boot']}  records {chain['first']} to {chain['last']}, {end}, key ed25519:{chain['key']}")
    print(f"records     {result['records']}")
    if result["anchored_heads"] is None:
        print("anchor      none given: tail unproven, records at the end of a chain may have been cut off")
    else:
        print(f"anchor      {result['anchored_heads']} heads found in the log")
        for chain in result["chains"]:
            if chain["unproven"]:
                print(f"  tail unproven: {chain['unproven']} records of {chain['boot']} behind its last anchored head")
    for note in result["notes"]:
        print(f"note        {note}")
    print(f"findings    {len(result['findings']) + result['more']}")
    for found in result["findings"]:
        where = f"{found['file']}:{found['line']}" if found["line"] else found["file"]
        print(f"  {where}: {found['what']}")


def _row(place: "Place", found: "Sum") -> dict[str, Any]:
    return {
        "backend": place.backend,
        "address": place.address,
        "certificate": place.certificate,
        "sovereign": place.sovereign,
        "calls": found.calls,
        "unsent": found.unsent,
        "without_end": found.open,
        "bytes_sent": found.sent,
        "bytes_received": found.received,
        "first": _time(found.first),
        "last": _time(found.last),
    }


def _print_rows(tenant: str | None, rows: list[dict[str, Any]]) -> None:
    if not rows:
        print(f"no call{'' if tenant is None else f' of {tenant}'} in that time")
        return
    head = ("backend", "address", "certificate", "calls", "unsent", "bytes out", "bytes in", "first", "last")
    table = [
        (
            row["backend"],
            row["address"] or "(not reached)",
            row["certificate"][:16] or "none",
            str(row["calls"]),
            str(row["unsent"]),
            str(row["bytes_sent"]),
            str(row["bytes_received"]),
            row["first"],
            row["last"],
        )
        for row in rows
    ]
    print_columns([head, *table])


def _counted(file: Path, step: Callable[[int], None]) -> Iterator[bytes]:
    """Give a file's lines, and tell how many bytes they were, now and then."""
    from hybridproxy.stores.segments import lines_of

    count = 0
    for line in lines_of(file):
        yield line
        count += len(line)
        if count >= STEP:
            step(count)
            count = 0
    step(count)
