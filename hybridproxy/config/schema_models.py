"""Models, their prices, and the file that goes before the catalogue, as pydantic models."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hybridproxy.config.model_values import Day
from hybridproxy.config.section import Section
from hybridproxy.config.values import FamilyName, ModelName, Name

Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Rates(Section):
    """US dollars for a million tokens."""

    input: Dollars
    output: Dollars
    thinking: Dollars | None = None
    cache_read: Dollars | None = None
    cache_read_explicit: Dollars | None = None
    cache_write: Dollars | None = None


class Tier(Rates):
    """The same for calls with more than so many tokens of input."""

    above: Tokens


class Price(Rates):
    """The same for every call, or for those of the shortest inputs."""

    tiers: list[Tier] = Field([], max_length=16)


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class ServedSection(Section):
    """How one backend serves a model."""

    name: ModelName
    context: Tokens | None = None
    lacks: list[Literal["tools", "vision", "json_schema"]] | None = None
    streams_only: bool | None = None
    price: Price | None = None
    released: Day | None = None


class ModelSection(Section):
    """One model that callers may name, or a name for the freshest of a line of models."""

    family: FamilyName
    context: Tokens | None = None
    latest: Name | None = None
    served_by: dict[
        Name,
        Annotated[ServedSection, BeforeValidator(_named, json_schema_input_type=str | ServedSection)],
    ] = Field({}, json_schema_extra={"minProperties": 1})


class NoteSection(Section):
    """What an overlay says of one backend's model."""

    backend: Name
    name: ModelName
    line: Name | None = None
    released: Day | None = None
    context: Tokens | None = None
    price: Price | None = None
    leaves: Day | None = None


class OverlayFile(Section):
    """What goes before the catalogue: written by `hybridproxy models --refresh --output`, or by hand."""

    dated: Day | None = None
    models: list[NoteSection] = Field(max_length=100_000)
