"""CloudEvents 1.0 over Kafka: what stands in the envelope, and where the data are.

In both modes `id`, `source`, `time` and `subject` (the tenant) come from the envelope, all else from the data; an attribute that
the envelope leaves out may stand in the data. In structured mode the message is one JSON object; in binary mode the attributes
are headers `ce_…` and the message is the data.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.dead_letters import Problem
from streams.complaints import Refused, shown

Headers = Sequence[tuple[str, bytes | None]]

_CLOUDEVENTS = "application/cloudevents"
_CLOUDEVENTS_JSON = "application/cloudevents+json"
_TAKEN = {"id": "id", "source": "source", "time": "time", "subject": "tenant"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A CloudEvent's attributes, and its data as an object or as bytes still to be read."""

    attributes: Mapping[str, Any]
    data: dict[str, Any] | bytes

    def merged(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The event's fields: those of the data, over which the envelope's win."""
        taken = {ours: self.attributes[theirs] for theirs, ours in _TAKEN.items() if theirs in self.attributes}
        made = {**fields, **taken}
        if "type" not in made and isinstance(self.attributes.get("type"), str):
            made["type"] = self.attributes["type"].rpartition(".")[2]
        return made


def is_structured(headers: Headers) -> bool:
    """Whether the content type says that the message is a CloudEvent as a whole.

    Raises:
        Refused: it is in a format of CloudEvents that we do not read, such as a batch.
    """
    for name, value in headers:
        if value and name.lower() == "content-type":
            format_ = value.decode("latin-1").partition(";")[0].strip().lower()
            if format_.startswith(_CLOUDEVENTS) and format_ != _CLOUDEVENTS_JSON:
                raise Refused(Problem.INVALID, f"content-type: {shown(format_)} is not taken: one message is one event in JSON")
            return format_ == _CLOUDEVENTS_JSON
    return False


def is_binary(headers: Headers) -> bool:
    """Whether the headers are a CloudEvent's attributes."""
    return any(name in {"ce_specversion", "ce_id"} for name, _ in headers)


def binary(headers: Headers, value: bytes) -> Envelope:
    """Binary mode.

    Raises:
        Refused: an attribute is not UTF-8, or of a version of CloudEvents that is not 1.0.
    """
    attributes: dict[str, str] = {}
    for name, raw in headers:
        if not name.startswith("ce_") or raw is None:
            continue
        try:
            attributes[name[3:]] = raw.decode()
        except UnicodeDecodeError:
            raise Refused(Problem.INVALID, f"{name}: {shown(raw)} is not UTF-8") from None
    _check_version(attributes)
    return Envelope(attributes, value)


def structured(envelope: Mapping[str, Any]) -> Envelope:
    """Structured mode, its JSON already read.

    Raises:
        Refused: the version is not 1.0; there are no data or two; the data are neither an object nor base64.
    """
    _check_version(envelope)
    data, encoded = envelope.get("data"), envelope.get("data_base64")
    if data is not None and encoded is not None:
        raise Refused(Problem.INVALID, "data_base64: stands beside data; an event has one of them")
    if encoded is not None:
        return Envelope(envelope, _from_base64(encoded))
    if data is None:
        raise Refused(Problem.INVALID, "data: missing")
    if not isinstance(data, dict):
        raise Refused(Problem.INVALID, f"data: {shown(data)} is not an object")
    return Envelope(envelope, data)


def _check_version(attributes: Mapping[str, Any]) -> None:
    version = attributes.get("specversion")
    if version != "1.0":
        raise Refused(Problem.INVALID, f"specversion: {shown(version)} is not '1.0'")


def _from_base64(encoded: object) -> bytes:
    if not isinstance(encoded, str):
        raise Refused(Problem.INVALID, f"data_base64: {shown(encoded)} is not text")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: characters beyond ASCII
        raise Refused(Problem.MALFORMED, f"data_base64: {shown(encoded)}: {error}") from None
