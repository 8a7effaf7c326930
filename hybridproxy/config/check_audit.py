"""Whether the audit log can be written where the configuration wants it, and who should have one and has none."""

import os
from collections.abc import Iterator
from pathlib import Path

from hybridproxy.config.build import audit_of
from hybridproxy.config.context import Context, Finding
from hybridproxy.config.schema import ConfigurationFile

WHAT_TO_DO = "make it writable for the user that serves, or name another place"


def check_audit(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    """Yield what is wrong with the places of the audit log, its key and its anchor."""
    if file.audit is None:
        return
    audit = audit_of(file.audit, context.base)
    against = no_folder(audit.folder)
    if against is not None:
        yield ("audit", "path"), against
    if audit.key.exists():
        if not audit.key.is_file() or not os.access(audit.key, os.R_OK):
            yield ("audit", "key"), "expected a private key in PEM form; this is no file, or it cannot be read"
    elif audit.key.parent != audit.folder and (against := no_folder(audit.key.parent)) is not None:
        yield ("audit", "key"), f"the key would be made here at the first start: {against}"
    if isinstance(audit.anchor, Path):
        if audit.anchor.is_dir():
            yield ("audit", "anchor"), "expected a file, a URL or none; this is a folder"
        elif (against := no_folder(audit.anchor.parent)) is not None:
            yield ("audit", "anchor"), f"the file would be made here: {against}"


def warn_of_audit(file: ConfigurationFile, context_base: Path) -> Iterator[Finding]:
    """Yield what is probably not meant: nobody's evidence, or evidence that proves less than it could."""
    sovereign = [name for name, tenant in file.tenants.items() if tenant.sovereign]
    if file.audit is None:
        if sovereign:
            more = f" (and {len(sovereign) - 1} more like it)" if len(sovereign) > 1 else ""
            where = ("tenants", sovereign[0], "residency")
            yield where, f"there is no audit section, so nothing shows where its calls went{more}"
        return
    audit = audit_of(file.audit, context_base)
    if isinstance(audit.anchor, Path) and audit.anchor.parent == audit.folder:
        yield ("audit", "anchor"), "stands beside the log: who can cut the log can cut it too; put it elsewhere"


def no_folder(folder: Path) -> str | None:
    """Return why files cannot be made in a folder, which may have to be made itself; None when they can."""
    found = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not found.is_dir():
        return f"{found.name} is no folder"
    return None if os.access(found, os.W_OK | os.X_OK) else f"{found.name or found} may not be written to: {WHAT_TO_DO}"
