"""Arbitrary bytes before the door, and arbitrary valid events in every encoding."""

import json

from door_cases import BODY, DAY, DOOR, HOUR, LATENCY, LATENCY_EVENT, NOW, POOL, PROFILE, USAGE, envelope, read
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.published import PoolCommand, UsageEvent
from streams.codecs import encode
from streams.complaints import Refusal
from streams.door import TopicKind

KINDS: st.SearchStrategy[TopicKind] = st.sampled_from(["usage", "latency", "admissions", "orders", "profiles"])
NAMES = ["content-type", "ce_id", "ce_specversion", "ce_time", "ce_subject", "ce_type", "x"]
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(), st.none() | st.binary() | st.just(b"1.0")), max_size=5)
JSONS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from([*USAGE, *PROFILE, *POOL, *envelope(), "data_base64"]), JSONS, max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    good = draw(st.sampled_from([USAGE, LATENCY, POOL, PROFILE, envelope()]))
    text = json.dumps({**good, **draw(FIELDS)}).encode()
    body = draw(
        st.sampled_from([text, BODY, encode(LATENCY_EVENT), encode(PoolCommand(**POOL)), b"\xc3\x01", b"\x00\x00\x00\x00\x01"])
    )
    at, until = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
    mutated = body[:at] + draw(st.binary(max_size=8)) + body[until:]
    return draw(st.sampled_from([text, mutated, body[:at] + body[until:]]) | st.binary(max_size=60))


@settings(max_examples=800, deadline=None)
@given(kind=KINDS, value=messages(), headers=HEADERS, key=st.none() | st.binary(max_size=8), append_ms=st.integers(0, 2**63 - 1))
def test_the_door_answers_whatever_stands_before_it(
    kind: TopicKind, value: bytes, headers: list[tuple[str, bytes | None]], key: bytes | None, append_ms: int
) -> None:
    found = DOOR.read(kind, value, headers, key, append_ms)
    if isinstance(found, Refusal):
        assert found.detail
        found.detail.encode()
    else:
        encode(found)  # what is taken can be written


TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: len(text.encode("utf-8", "ignore")) in range(1, 129))


@st.composite
def usages(draw: st.DrawFn) -> UsageEvent | None:
    tokens = st.integers(0, 2**53)
    values = {name: draw(TEXTS) for name in ("id", "source", "tenant", "pool")}
    counts = {"input_tokens": draw(tokens), "output_tokens": draw(tokens)}
    cached = draw(st.integers(0, counts["input_tokens"]))
    try:
        return UsageEvent(
            **values,
            **counts,
            time=NOW + draw(st.integers(-DAY, HOUR)),
            cached_input_tokens=cached,
            model=draw(st.text(max_size=9)),
        )
    except ValueError:
        return None


@settings(max_examples=300, deadline=None)
@given(event=usages())
def test_valid_events_come_through_in_every_encoding(event: UsageEvent | None) -> None:
    if event is None:
        return
    fields = event.model_dump()
    data = {name: value for name, value in fields.items() if name not in {"id", "source", "time", "tenant"}}
    attributes = {"specversion": "1.0", "id": event.id, "source": event.source, "subject": event.tenant}
    binary: list[tuple[str, bytes | None]] = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    key = event.tenant.encode()
    assert read(fields, key=key) == event
    assert read(encode(event), key=key) == event
    assert read({**attributes, "data": data | {"time": event.time}}, key=key) == event
    assert read(json.dumps(data | {"time": event.time}).encode(), headers=binary, key=key) == event
    assert read(encode(event), headers=binary, key=key) == event
