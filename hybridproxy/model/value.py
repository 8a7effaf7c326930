"""Values: what is made once and never changed.

To the type checker a value is a frozen dataclass: setting a field is an error. At run time it is a slotted dataclass
that is not frozen, because a frozen one sets each field through a call of `object.__setattr__`: measured with CPython
3.11, a value of eight fields is made in 0.14 µs instead of 0.73, and a call makes about twenty of them. Names of
arguments cost as much again, so what each call makes of many fields is made by their positions.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class a value: compared and hashed by its fields, changed by nobody."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
