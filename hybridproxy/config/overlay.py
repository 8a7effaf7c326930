"""The file that goes before the catalogue: what `hybridproxy models --refresh --output` wrote, or the operator."""

from pathlib import Path

from pydantic import ValidationError

from hybridproxy.catalogue.catalogue import NO_OVERLAY, Overlay
from hybridproxy.config.context import is_file
from hybridproxy.config.mistakes import Mistake, dotted
from hybridproxy.config.offers import overlay_of
from hybridproxy.config.problems import message_of
from hybridproxy.config.schema_models import OverlayFile
from hybridproxy.config.sources import MAX_FILE, Sources, read_document


def read_overlay(name: str | None, base: Path, sources: Sources) -> Overlay:
    """Return what the overlay says; what is wrong with it is noted as a mistake, and then it says nothing.

    Args:
        name: the file as the configuration names it, None: there is none.
        base: the folder relative paths start at.
        sources: the files read so far, and the book of mistakes.

    """
    if name is None:
        return NO_OVERLAY
    path = base / name
    if not is_file(path):
        sources.refuse(("catalogue",), "there is no such file")
        return NO_OVERLAY
    sources.paths.append(path)
    document, _ = read_document(path, sources, MAX_FILE)
    if document is None:
        return NO_OVERLAY
    try:
        return overlay_of(OverlayFile.model_validate(document.data))
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            where = problem["loc"]
            place = document.place(where, key=problem["type"] == "extra_forbidden")
            message = message_of(problem, where, OverlayFile)
            sources.mistakes.append(Mistake(document.file, *place, dotted(where), message))
    return NO_OVERLAY
