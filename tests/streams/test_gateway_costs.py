"""What a request is taken to cost before it runs, and what is believed of what upstream says that it cost."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from streams.gateway import counting
from streams.gateway.arriving import Refuse, Rules, asked_of
from streams.gateway.asked import (
    ATTACHED_TOKENS,
    MOST_UNSAID,
    MOST_UNSEEN,
    MOST_VALUES,
    NAME_COSTS,
    TEMPLATE_TOKENS,
    Asked,
    BadBody,
    Kind,
    Lowered,
    read,
)
from streams.gateway.counting import COUNTED_CHARS, MOST_COUNTED, Counting, by_tokenizer, estimated, off_loop
from streams.gateway.usage import Events, Measured

LIKELY: dict[str, Any] = {"model": "m", "messages": [], "prompt": "p", "input": [1, 2]}
PICTURE = "data:image/png;base64," + "A" * 100_000
EIGHT = "eight by"
"""Bytes, so two tokens."""


def asked(kind: Kind, **fields: Any) -> Asked:
    return read(kind, json.dumps({**LIKELY, **fields}).encode(), count=estimated, default_output=50)


OUTPUTS: dict[str, tuple[dict[str, Any], int]] = {
    "both names": ({"max_completion_tokens": 5, "max_tokens": 900}, 900),
    "both names, the other larger": ({"max_completion_tokens": 900, "max_tokens": 5}, 900),
    "llama.cpp's name": ({"max_tokens": 5, "n_predict": 900}, 900),
    "null": ({"max_tokens": None}, 50),
    "n": ({"max_tokens": 10, "n": 3}, 30),
    "best_of": ({"max_tokens": 10, "n": 2, "best_of": 4}, 40),
    "best_of that is less": ({"max_tokens": 10, "n": 4, "best_of": 2}, 40),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_output_is_reserved_for_whatever_the_runtime_may_go_by(case: str) -> None:
    fields, most = OUTPUTS[case]
    assert asked(Kind.CHAT, **fields).most_output == most


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts) if len(parts) > 1 else parts[0]}]}


SCHEMA = {"type": "object", "properties": {"a" * 40: {"type": "string", "description": "b" * 400}}}
COSTS: dict[str, tuple[Kind, dict[str, Any], int, int]] = {  # input tokens, at least and at most
    "a message": (Kind.CHAT, user(EIGHT), 7, 9),
    "parts": (Kind.CHAT, user({"type": "text", "text": EIGHT}, {"type": "text", "text": EIGHT}), 9, 12),
    "an image": (
        Kind.CHAT,
        user({"type": "image_url", "image_url": {"url": PICTURE}}, EIGHT),
        ATTACHED_TOKENS,
        ATTACHED_TOKENS + 20,
    ),
    "an image of no type": (Kind.CHAT, user({"image_url": PICTURE}, EIGHT), ATTACHED_TOKENS, ATTACHED_TOKENS + 20),
    "a sound": (
        Kind.CHAT,
        user({"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}}, EIGHT),
        ATTACHED_TOKENS,
        ATTACHED_TOKENS + 20,
    ),
    "two images": (
        Kind.CHAT,
        user(*[{"type": "image_url", "image_url": PICTURE}] * 2),
        2 * ATTACHED_TOKENS,
        2 * ATTACHED_TOKENS + 20,
    ),
    "tools": (Kind.CHAT, {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]}, 110, 130),
    "a property that is called like an image": (
        Kind.CHAT,
        {"tools": [{"properties": {"image_url": {"description": "b" * 400}}}]},
        100,
        120,
    ),
    "a schema": (Kind.CHAT, {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}, 110, 130),
    "documents": (Kind.CHAT, {"documents": [{"title": "t", "text": "b" * 400}]}, 100, 110),
    "two prompts": (Kind.COMPLETIONS, {"prompt": [EIGHT, EIGHT]}, 4, 4),
    "a prompt of tokens": (Kind.COMPLETIONS, {"prompt": [7] * 30}, 30, 30),
    "two prompts of tokens": (Kind.COMPLETIONS, {"prompt": [[7] * 30, [8] * 10]}, 40, 40),
    "nothing": (Kind.COMPLETIONS, {"prompt": []}, 1, 1),
    "an embedding": (Kind.EMBEDDINGS, {"input": EIGHT}, 2, 2),
    "embeddings": (Kind.EMBEDDINGS, {"input": [EIGHT] * 5}, 10, 10),
    "embeddings of tokens": (Kind.EMBEDDINGS, {"input": [[1, 2], [3]]}, 3, 3),
    "a response": (Kind.RESPONSES, {"input": EIGHT, "instructions": EIGHT}, 4, 4),
    "a picture in a response": (
        Kind.RESPONSES,
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}]},
        ATTACHED_TOKENS,
        ATTACHED_TOKENS + 20,
    ),
}


@pytest.mark.parametrize("case", COSTS)
def test_input_is_counted_by_what_a_model_reads(case: str) -> None:
    kind, fields, least, most = COSTS[case]
    assert least <= asked(kind, **fields).input_tokens <= most


def test_a_batch_has_an_answer_for_each_prompt() -> None:
    assert asked(Kind.COMPLETIONS, prompt=["abcd", "efgh"]).most_output == 100
    assert asked(Kind.COMPLETIONS, prompt=[1, 2, 3]).most_output == 50
    assert asked(Kind.COMPLETIONS, prompt=[[1, 2], [3]], n=2, max_tokens=7).most_output == 28
    assert asked(Kind.EMBEDDINGS, input=["a"] * 9).most_output == 0
    with pytest.raises(BadBody, match="background"):
        asked(Kind.RESPONSES, background=True)


@pytest.mark.parametrize(
    ("tier", "lowered"),
    [
        ("auto", None),
        ("default", None),
        ("priority", None),
        ("dedicated", None),
        ("guaranteed", None),
        ("unknown", None),
        (7, None),
        ({"flex": 1}, None),
        (None, None),
        ("flex", Lowered.SPOT),
        ("spot", Lowered.SPOT),
        ("batch", Lowered.PREEMPTIBLE),
        ("preemptible", Lowered.PREEMPTIBLE),
    ],
)
def test_a_service_tier_only_lowers(tier: Any, lowered: Lowered | None) -> None:
    assert asked(Kind.CHAT, service_tier=tier).lowered is lowered


@pytest.mark.parametrize(
    ("options", "wants"),
    [(None, False), ({}, False), ({"include_usage": False, "x": 1.5}, False), ({"include_usage": True, "x": [None]}, True)],
)
def test_options_of_a_stream_are_kept_and_its_usage_asked_for(options: Any, wants: bool) -> None:
    found = asked(Kind.CHAT, stream=True, stream_options=options)
    assert found.wants_usage is wants
    assert json.loads(found.body)["stream_options"] == {**(options or {}), "include_usage": True}


ENDLESS = {
    "brackets": b"[" + b"[]," * MOST_VALUES + b"1]",
    "names": b"{" + b",".join(b'"%x":1' % number for number in range(MOST_VALUES // NAME_COSTS)) + b"}",
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_body_that_takes_long_to_parse_is_refused_before_it_is_parsed(case: str) -> None:
    body = b'{"model":"m","prompt":' + ENDLESS[case] + b"}"
    began = time.process_time()
    with pytest.raises(BadBody, match=f"at most {MOST_VALUES}"):
        read(Kind.COMPLETIONS, body, count=estimated, default_output=50)
    assert time.process_time() - began < 0.5, "parsing it takes longer than that, with every other request waiting"


USAGES: dict[str, tuple[dict[str, Any], Any, tuple[int, int, int, str]]] = {
    "as it is": ({}, {"prompt_tokens": 9, "completion_tokens": 4}, (9, 4, 0, "reported")),
    "by the responses API": ({}, {"input_tokens": 9, "output_tokens": 4}, (9, 4, 0, "reported")),
    "cached": (
        {},
        {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}},
        (9, 4, 5, "reported"),
    ),
    "more cached than read": (
        {},
        {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 50}},
        (9, 4, 9, "reported"),
    ),
    "details that are none": ({}, {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": 7}, (9, 4, 0, "reported")),
    "more than was bounded": ({"max_tokens": 20}, {"prompt_tokens": 9, "completion_tokens": 10**9}, (9, 20, 0, "counted")),
    "beyond all": ({}, {"prompt_tokens": 9, "completion_tokens": 2**40}, (8, 2, 0, "counted")),
    "more than models make": ({}, {"prompt_tokens": 9, "completion_tokens": 10**9}, (9, MOST_UNSAID, 0, "counted")),
    "more than is reserved where nothing bounds it": ({}, {"prompt_tokens": 9, "completion_tokens": 700}, (9, 700, 0, "reported")),
    "more input than bytes": ({}, {"prompt_tokens": 10**9, "completion_tokens": 4}, (8, 4, 0, "counted")),
    "negative": ({}, {"prompt_tokens": -9, "completion_tokens": 4}, (8, 2, 0, "counted")),
    "negative output": ({}, {"prompt_tokens": 9, "completion_tokens": -4}, (8, 2, 0, "counted")),
    "texts": ({}, {"prompt_tokens": "9", "completion_tokens": "4"}, (8, 2, 0, "counted")),
    "a text": ({}, {"prompt_tokens": 9, "completion_tokens": "4"}, (8, 2, 0, "counted")),
    "half": ({}, {"prompt_tokens": 9}, (9, 2, 0, "counted")),
    "the other half": ({}, {"completion_tokens": 9}, (8, 2, 0, "counted")),
    "nothing was made": ({}, {"prompt_tokens": 9, "completion_tokens": 0}, (9, 2, 0, "counted")),
    "none": ({}, None, (8, 2, 0, "counted")),
    "a list": ({}, [9, 4], (8, 2, 0, "counted")),
}


@pytest.mark.parametrize("case", USAGES)
def test_what_upstream_says_is_believed_within_what_was_seen(case: str) -> None:
    fields, usage, expected = USAGES[case]
    measured = Measured()
    answer = {"choices": [{"message": {"content": EIGHT}}], "usage": usage}
    measured.see_body(json.dumps(answer).encode(), estimated)
    usage_settled, basis = measured.settled(asked(Kind.CHAT, **user("hi"), tools=[EIGHT], **fields))
    assert (*usage_settled, basis) == expected


@pytest.mark.parametrize("answer", [[], [{"usage": {}}], 7, "text", None, {"response": 7}, {"choices": 7}, {"choices": [7]}])
def test_json_that_is_no_answer_of_openais_is_no_usage(answer: Any) -> None:
    """Neither whole nor as an event."""
    measured = Measured()
    measured.see_body(json.dumps(answer).encode(), estimated)
    assert measured.settled(asked(Kind.CHAT)) == ((1, 0, 0), "counted")
    assert stream(asked(Kind.CHAT), answer) == ((1, 0, 0), "counted")


def test_an_embedding_makes_nothing_and_says_so_by_saying_nothing() -> None:
    measured = Measured()
    measured.see_body(
        json.dumps({"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}).encode(), estimated
    )
    assert measured.settled(asked(Kind.EMBEDDINGS, input=EIGHT)) == ((3, 0, 0), "reported")


def test_a_response_reports_inside_of_its_last_event() -> None:
    request, inside = asked(Kind.RESPONSES), {"input_tokens": 9, "output_tokens": 4}
    for outside in ({}, {"usage": None}):
        assert stream(request, {"type": "response.completed", "response": {"usage": inside}, **outside}) == ((9, 4, 0), "reported")
    both = {"response": {"usage": inside}, "usage": {"input_tokens": 8, "output_tokens": 3}}
    assert stream(request, both) == ((8, 3, 0), "reported")


def test_a_bound_that_upstream_ignores_gives_nobody_tokens() -> None:
    """`n_predict` is llama.cpp's: vLLM ignores it, makes what it likes, and says so."""
    request = asked(Kind.CHAT, n_predict=1)
    assert request.most_output == 1
    measured = Measured()
    measured.see_whole(
        {"choices": [{"message": {"content": "word " * 900}}], "usage": {"prompt_tokens": 9, "completion_tokens": 900}}, estimated
    )
    assert measured.settled(request) == ((9, 900, 0), "reported")


def test_input_that_stands_elsewhere_is_believed() -> None:
    picture = asked(Kind.CHAT, **user({"type": "image_url", "image_url": {"url": "http://x/y.png"}}, EIGHT))
    assert picture.most_input > MOST_UNSEEN
    assert asked(Kind.RESPONSES, previous_response_id="r").most_input > MOST_UNSEEN
    assert asked(Kind.CHAT).most_input < TEMPLATE_TOKENS + 300


def test_what_is_no_json_is_taken_for_text() -> None:
    measured = Measured()
    measured.see_body(b"<html>" * 10, estimated)
    assert measured.settled(asked(Kind.CHAT)) == ((1, 15, 0), "counted")


def stream(request: Asked, *said: object) -> tuple[tuple[int, int, int], str]:
    """As it is settled, whether its events come one by one or byte by byte."""
    measured, again = Measured(), Measured()
    events, in_bytes = Events(request, measured), Events(request, again)
    for each in said:
        data = b"data: " + json.dumps(each).encode() + b"\n\n"
        events.take(data)
        for place in range(len(data)):
            in_bytes.take(data[place : place + 1])
    assert again == measured
    return measured.settled(request)


def delta(**said: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said}]}


def test_what_came_through_is_paid_and_what_is_said_beyond_it_is_cut() -> None:
    request = asked(Kind.CHAT, max_tokens=3)
    lie = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 10**6}}
    assert stream(request, *[delta(content="a")] * 5) == ((1, 5, 0), "counted")
    assert stream(request, *[delta(content="a")] * 5, lie) == ((9, 5, 0), "counted")
    assert stream(request, *[delta(content="four")] * 5, lie) == ((9, 20, 0), "counted"), "a byte is a token at most"
    assert stream(request, delta(content="a" * 1280)) == ((1, 10, 0), "counted"), "a token has 128 bytes at most"
    assert stream(request, delta(tool_calls=[{"function": {"arguments": "{"}}]), delta(role="assistant", content="")) == (
        (1, 1, 0),
        "counted",
    )
    texts = [{"choices": [{"index": 0, "text": said}]} for said in ("four", "", "five ")]
    assert stream(asked(Kind.COMPLETIONS), *texts) == ((1, 2, 0), "counted")
    whole = Measured()
    whole.see_whole({"output": [{"type": "message", "content": [{"type": "output_text", "text": EIGHT}]}]}, estimated)
    assert whole.settled(asked(Kind.RESPONSES)) == ((2, 2, 0), "counted")
    tools = Measured()
    tools.see_whole({"choices": [{"message": {"content": None, "tool_calls": [{"function": {"arguments": "abcd"}}]}}]}, estimated)
    assert tools.settled(asked(Kind.CHAT)) == ((1, 1, 0), "counted")


def test_an_event_of_several_lines_is_read() -> None:
    measured = Measured()
    events = Events(asked(Kind.CHAT), measured)
    events.take(b'data: {"choices": [],\ndata: "usage": {"prompt_tokens": 9, "completion_tokens": 4}}\nid: 7\n\n')
    assert measured.usage == (9, 4, 0)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Counting:
    """A byte is a token, but for a few words."""
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*alphabet, "he", "hel", "hell", "hello"])}
    merges = [("h", "e"), ("he", "l"), ("hel", "l"), ("hell", "o")]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return by_tokenizer(path)


def test_a_tokenizer_counts_short_texts_and_takes_long_ones_to_go_on_like_that(tokenizer: Counting) -> None:
    assert tokenizer([]) == 0
    assert tokenizer(["hello", "", "hello hi"]) == 1 + 1 + 3
    assert tokenizer(["hello" * 10_000]) == pytest.approx(10_000, rel=0.01)
    began = time.process_time()
    assert tokenizer(["hello" * 1_000_000]) == pytest.approx(1_000_000, rel=0.01)
    assert tokenizer(["x"] * 100_000) == 100_000
    assert tokenizer(["hello" * 100_000, "x" * 500_000]) == pytest.approx(600_000, rel=0.1), "wherever it stands"
    assert time.process_time() - began < 2, f"5 MB take longer than that; {COUNTED_CHARS} characters do not"


def test_others_are_served_while_a_long_body_is_counted(tokenizer: Counting) -> None:
    body = json.dumps({"model": "m", "prompt": "a long word " * 100_000}).encode()

    async def play() -> tuple[int, int]:
        counted = asyncio.create_task(asked_of(Rules(pool="llm"), Kind.COMPLETIONS, body, tokenizer))
        served = 0
        while not counted.done():
            await asyncio.sleep(0)
            served += 1
        return (await counted)[1].input_tokens, served

    tokens, served = asyncio.run(play())
    assert tokens == pytest.approx(1_200_000, rel=0.01)
    assert served > 10, "the loop turned meanwhile"


def test_where_many_bodies_wait_to_be_counted_the_next_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Counting(lambda texts: 1_000 * len(texts), 10)

    async def play() -> list[int]:
        return await asyncio.gather(*(off_loop(exact, 11, lambda count: count(["abcd"])) for _ in range(MOST_COUNTED + 2)))

    assert asyncio.run(play()) == [1_000] * MOST_COUNTED + [1, 1]
    assert counting.MOST_COUNTED == MOST_COUNTED


def test_a_body_that_can_not_be_read_in_a_thread_is_refused_as_any_other() -> None:
    async def play() -> None:
        await asked_of(Rules(pool="llm"), Kind.COMPLETIONS, b"{" * 50_000, estimated)

    with pytest.raises(Refuse) as refused:
        asyncio.run(play())
    assert refused.value.failure.status == 400
