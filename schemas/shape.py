"""The shape of an event's fields, read once from its annotations: what Avro, ClickHouse and the codecs all render from."""

import types
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from schemas.model import Event
from schemas.units import PerRow, Store, Unit


class _Required:
    """The default of a field that has none (None is a default that a field may have)."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()

DEFAULT_STORES: dict[type, Store] = {
    bool: Store("Bool"),  # before int, of which it is a subclass
    int: Store("Int64"),
    str: Store("String"),
    bytes: Store("String"),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One field of an event. For a list, `base`, `item_nullable`, `unit` and `store` speak of its items."""

    name: str
    base: type
    """int, str, bool, bytes, a StrEnum or a nested Event."""
    nullable: bool
    listed: bool
    item_nullable: bool
    per_row: bool
    unit: str
    """What one unit of the ClickHouse column is."""
    raw_unit: str
    """What one unit of the value in Python and in Avro is."""
    description: str
    store: Store | None
    """None where the base has no column type of its own (a nested event)."""
    default: object = field(hash=False)  # a list has no hash; shapes and what is made of them are keys of caches
    """The default as Python holds it (a Decimal6 in millionths); REQUIRED where there is none."""

    @property
    def doc(self) -> str:
        """The unit, and what else the model says of the field: the column's comment."""
        return "; ".join(part for part in (self.unit, self.description) if part)


def _unwrap(annotation: Any) -> tuple[Any, list[Any], bool]:
    """Annotation -> (bare type, its metadata with the outermost last, whether None is allowed)."""
    metadata: list[Any] = []
    nullable = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *extra = get_args(annotation)
            metadata = [*extra, *metadata]
        elif origin in {Union, types.UnionType}:
            others = [each for each in get_args(annotation) if each is not type(None)]
            if len(others) != 1:
                raise TypeError(f"{annotation} is a choice of several types: an event's field has one")
            nullable = True
            annotation = others[0]
        else:
            return annotation, metadata, nullable


def _base_of(annotation: Any) -> type:
    if get_origin(annotation) is not None and get_args(annotation) and all(isinstance(each, str) for each in get_args(annotation)):
        return str  # a Literal of words
    if not isinstance(annotation, type):
        raise TypeError(f"{annotation} is no type that an event's field may have")
    return annotation


def _last(metadata: list[Any], kind: type) -> Any:
    return next((each for each in reversed(metadata) if isinstance(each, kind)), None)


@cache
def shapes(model: type[Event]) -> tuple[Shape, ...]:
    """The fields of a model in their order.

    Raises:
        TypeError: a field's annotation is none that an event may have (a choice of types, a dict, …).
    """
    hints = get_type_hints(model, include_extras=True)
    return tuple(_shape(model, name, hints[name]) for name in model.model_fields)


def _shape(model: type[Event], name: str, annotation: Any) -> Shape:
    info = model.model_fields[name]
    bare, metadata, nullable = _unwrap(annotation)
    listed = get_origin(bare) is list
    item_nullable = False
    if listed:
        bare, of_item, item_nullable = _unwrap(get_args(bare)[0])
        metadata = [*of_item, *metadata]
    base = _base_of(bare)
    unit = _last(metadata, Unit)
    store = _last(metadata, Store)
    if store is None and not issubclass(base, Event):
        store = next(each for kind, each in DEFAULT_STORES.items() if issubclass(base, kind))
    return Shape(
        name=name,
        base=base,
        nullable=nullable,
        listed=listed,
        item_nullable=item_nullable,
        per_row=_last(metadata, PerRow) is not None,
        unit=unit.name if unit else "",
        raw_unit=(unit.raw or unit.name) if unit else "",
        description=" ".join((info.description or "").split()),
        store=store,
        default=REQUIRED if info.is_required() else info.get_default(call_default_factory=True),
    )
