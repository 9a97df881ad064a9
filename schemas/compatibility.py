"""Whether records of one Avro schema can be read with another, by the rules of "Schema Resolution" in Avro's specification.

Stricter in two things, for nothing that was recorded may silently be lost: a field taken away counts (by Avro's rule its values
would be dropped unseen; a renamed field with a default even looks compatible), and so does a word taken from an enumeration,
which is a string in Avro (schemas/avro.py writes its `words` down).
"""

from collections.abc import Iterator, Mapping
from typing import Any

PROMOTIONS: Mapping[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
"""Writer's type -> the other types of a reader that take its values."""

Names = dict[str, Any]


def incompatibilities(writer: Any, reader: Any) -> list[str]:
    """What keeps records of `writer` from being read whole with `reader`: a line for each, naming the field. Empty: nothing.

    Args:
        writer: the Avro schema that records were written with, as JSON.
        reader: the one that they are to be read with, as JSON.
    """
    return list(_compare("", writer, reader, _named(writer, {}), _named(reader, {})))


def _named(schema: Any, found: Names) -> Names:
    """Collects the named types, by their full names, that later mentions refer to."""
    if isinstance(schema, list):
        for each in schema:
            _named(each, found)
    elif isinstance(schema, dict):
        if "name" in schema and schema.get("type") in {"record", "enum", "fixed"}:
            found[schema["name"]] = schema
        for field in schema.get("fields", []):
            _named(field["type"], found)
        for part in ("type", "items", "values"):
            _named(schema.get(part), found)
    return found


def _resolved(schema: Any, names: Names) -> Any:
    """`{"type": {"type": …}}` and mentions of a name -> the schema itself."""
    while isinstance(schema, dict) and isinstance(schema.get("type"), (dict, list)):
        schema = schema["type"]
    return names.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> str:
    return "union" if isinstance(schema, list) else schema if isinstance(schema, str) else str(schema["type"])


def _compare(where: str, writer: Any, reader: Any, written: Names, read: Names) -> Iterator[str]:
    writer, reader = _resolved(writer, written), _resolved(reader, read)
    was, now = _kind(writer), _kind(reader)
    if was == "union":
        for branch in writer:
            yield from _compare(where, branch, reader, written, read)
    elif now == "union":
        yield from _compare_branches(where, writer, reader, written, read)
    elif was != now:
        if now not in PROMOTIONS.get(was, ()):
            yield f"{where}: type changed from {was} to {now}"
    else:
        yield from _compare_parts(where, writer, reader, written, read)


def _compare_branches(where: str, writer: Any, union: list[Any], written: Names, read: Names) -> Iterator[str]:
    """A value that is no union, read as one of the union's branches."""
    was, branches = _kind(writer), [_kind(_resolved(branch, read)) for branch in union]
    same = [branch for branch, kind in zip(union, branches, strict=True) if kind == was]
    faults = [list(_compare(where, writer, branch, written, read)) for branch in same]
    if faults and all(faults):
        yield from faults[0]
    elif not faults and not PROMOTIONS.get(was, frozenset()).intersection(branches):
        yield f"{where}: {was} is none of {branches}"


def _compare_parts(where: str, writer: Any, reader: Any, written: Names, read: Names) -> Iterator[str]:
    """Two schemas of the same kind."""
    match _kind(writer):
        case "record":
            yield from _compare_records(where, writer, reader, written, read)
        case "array":
            yield from _compare(f"{where}[]", writer["items"], reader["items"], written, read)
        case "map":
            yield from _compare(f"{where}[]", writer["values"], reader["values"], written, read)
        case "enum":
            yield from _missing_words(where, writer["symbols"], reader["symbols"], optional="default" in reader)
        case "fixed" if writer["size"] != reader["size"]:
            yield f"{where}: size changed from {writer['size']} to {reader['size']}"


def _compare_records(where: str, writer: Any, reader: Any, written: Names, read: Names) -> Iterator[str]:
    if writer["name"].rpartition(".")[2] != reader["name"].rpartition(".")[2]:
        yield f"{where or 'record'}: name changed from {writer['name']} to {reader['name']}"
        return
    was, now = ({field["name"]: field for field in schema["fields"]} for schema in (writer, reader))
    for name, field in now.items():
        path = f"{where}.{name}" if where else name
        if name in was:
            yield from _compare(path, was[name]["type"], field["type"], written, read)
            yield from _missing_words(path, was[name].get("words", []), field.get("words"), optional=False)
        elif "default" not in field:
            yield f"{path}: added without a default"
    for name in was:
        if name not in now:
            yield f"{where}.{name}: removed" if where else f"{name}: removed"


def _missing_words(where: str, was: list[str], now: list[str] | None, *, optional: bool) -> Iterator[str]:
    if now is None or optional:  # a field whose words are no longer listed takes any
        return
    for word in was:
        if word not in now:
            yield f"{where}: the word {word!r} removed"
