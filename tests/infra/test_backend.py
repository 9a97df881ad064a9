"""`bourse backend` as its clients see it: the official one, and those that behave badly."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError, APITimeoutError, AsyncOpenAI, OpenAI
from openai.types.responses import ResponseIncompleteEvent
from simulated_backend import Running, running_backend

from infra.backend.counted import Counted, Who
from infra.backend.replicas import Outcome
from infra.simulate.machine import Machine
from streams.errors import BadInput

HELLO: list[Any] = [{"role": "user", "content": "Hello, who is there?"}]  # 20 bytes: 5 tokens, 4 for the message
SAID = "This answer is simulated: no model runs here, "


@pytest.fixture(scope="module")
def backend() -> Iterator[Running]:
    with running_backend(Machine(kv_blocks=2000, sequences=8)) as running:
        yield running


@pytest.fixture(scope="module")
def client(backend: Running) -> OpenAI:
    return OpenAI(base_url=backend.url, api_key="none", max_retries=0, timeout=20)


def of(**simulate: Any) -> dict[str, Any]:
    return {"simulate": simulate}


def test_chat(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="simulated", messages=HELLO, n=2, extra_body=of(output_tokens=8))
    assert (raw.headers["server"], raw.headers["x-simulated"]) == ("bourse-simulated-backend", "true")
    answer = raw.parse()
    assert [(one.index, one.message.content, one.finish_reason) for one in answer.choices] == [(0, SAID, "stop"), (1, SAID, "stop")]
    assert answer.model == "simulated"
    assert answer.usage is not None
    assert answer.usage.to_dict() == {"prompt_tokens": 9, "completion_tokens": 16, "total_tokens": 25}


def test_chat_streams_a_chunk_for_each_token(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="simulated",
            messages=HELLO,
            max_completion_tokens=8,
            max_tokens=3,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=of(output_tokens=9),
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [len(chunk.choices) for chunk in chunks] == [1] * 10 + [0]
    assert [chunk.usage is not None for chunk in chunks] == [False] * 10 + [True]
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (9, 8)
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 9 + ["length"]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == SAID


def test_usage_is_streamed_only_if_asked_for(client: OpenAI, backend: Running) -> None:
    chunks = list(client.chat.completions.create(model="simulated", messages=HELLO, max_tokens=2, n=2, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert [sum(chunk.choices[0].index == choice for chunk in chunks) for choice in (0, 1)] == [4, 4]
    body = {"model": "simulated", "messages": HELLO, "max_tokens": 1, "stream": True}
    raw = backend.http.post(f"{backend.url}/chat/completions", json=body)
    assert raw.text.endswith("\n\ndata: [DONE]\n\n")
    assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    ("prompt", "tokens", "answers"),
    [("twelve bytes", 3, 1), (["a", "abcde"], 3, 2), ([5, 6, 7], 3, 1), ([[5, 6], [7]], 3, 2), ("", 1, 1), ("ÄÖÜ", 2, 1)],
)
def test_completions(client: OpenAI, prompt: Any, tokens: int, answers: int) -> None:
    answer = client.completions.create(model="simulated", prompt=prompt, max_tokens=5, n=2)
    assert [(one.index, one.text, one.finish_reason) for one in answer.choices] == [
        (index, "This answer is simulated: no ", "length") for index in range(2 * answers)
    ]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (tokens, 10 * answers)
    chunks = list(client.completions.create(model="simulated", prompt=prompt, max_tokens=5, stream=True))
    assert len(chunks) == 6 * answers


def test_length_follows_from_the_prompt(client: OpenAI) -> None:
    def length(content: str) -> int:
        answer = client.chat.completions.create(model="simulated", messages=[{"role": "user", "content": content}])
        assert answer.usage is not None
        assert answer.choices[0].finish_reason == "stop"
        return answer.usage.completion_tokens

    lengths = [length(content) for content in ("a", "b", "c", "a")]
    assert lengths[0] == lengths[3]
    assert len(set(lengths)) == 3
    assert all(16 <= one < 256 for one in lengths)


def test_embeddings(client: OpenAI, backend: Running) -> None:
    before = backend.counted()["total"]["output"]
    plain = client.embeddings.create(model="simulated", input=["one", "two"], encoding_format="float", dimensions=8)
    coded = client.embeddings.create(model="simulated", input="one", dimensions=8)  # the client asks for base64
    assert coded.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert plain.data[0].embedding != plain.data[1].embedding
    assert sum(part * part for part in plain.data[1].embedding) == pytest.approx(1)
    assert (plain.usage.prompt_tokens, plain.usage.total_tokens) == (2, 2)
    assert backend.counted()["total"]["output"] == before


def test_responses(client: OpenAI) -> None:
    whole = client.responses.create(model="simulated", input="Hello, who is there?", extra_body=of(output_tokens=8))
    assert (whole.status, whole.output_text) == ("completed", SAID)
    assert whole.usage is not None
    assert (whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.total_tokens) == (9, 8, 17)
    cut = client.responses.create(
        model="simulated",
        instructions="Be brief.",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
        max_output_tokens=8,
        extra_body=of(output_tokens=9),
    )
    assert (cut.status, cut.output_text) == ("incomplete", SAID)
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    assert cut.usage is not None
    assert cut.usage.input_tokens == 4 + 3 + 4 + 2
    events = list(client.responses.create(model="simulated", input="Hi", max_output_tokens=3, stream=True))
    kinds = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (kinds[0], kinds.count("response.output_text.delta"), kinds[-1]) == ("response.created", 3, "response.incomplete")
    assert isinstance(events[-1], ResponseIncompleteEvent)
    assert events[-1].response.output_text == "This answer is "


def test_async_clients_at_once_are_counted_by_user_and_request(backend: Running) -> None:
    async def ask(client: AsyncOpenAI, number: int) -> tuple[int, int]:
        sent: dict[str, Any] = {
            "model": "simulated",
            "messages": HELLO,
            "user": f"user-{number % 3}",
            "extra_headers": {"x-request-id": f"r-{number}"},
            "extra_body": of(input_tokens=number + 1, output_tokens=number % 7 + 1),
        }
        if number % 2:
            answer = await client.chat.completions.create(**sent)
            return answer.usage.prompt_tokens, answer.usage.completion_tokens
        stream = await client.chat.completions.create(stream=True, **sent)
        return number + 1, len([chunk async for chunk in stream if chunk.choices[0].delta.content])

    async def all_of_them() -> list[tuple[int, int]]:
        async with AsyncOpenAI(base_url=backend.url, api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(60)))

    before = backend.counted()["total"]
    told = asyncio.run(all_of_them())
    counted = backend.idle()
    assert told == [(number + 1, number % 7 + 1) for number in range(60)]
    assert counted["total"]["requests"] - before["requests"] == 60
    assert counted["total"]["output"] - before["output"] == sum(output for _, output in told)
    for user in range(3):
        tally = counted["users"][f"user-{user}"]
        ours = told[user::3]
        assert (tally["requests"], tally["input"], tally["output"]) == (
            20,
            sum(one for one, _ in ours),
            sum(one for _, one in ours),
        )
    assert counted["requests"]["r-7"]["input"] == 8


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_frees_its_blocks_at_once(backend: Running, stream: bool) -> None:
    """Nine long ones where eight may run: also the one that waits leaves."""
    before = backend.counted()["total"]
    body = {"model": "simulated", "messages": HELLO, "stream": stream, "ignore_eos": True, "max_tokens": 3000}

    async def go() -> None:
        async with httpx.AsyncClient() as client:
            asking = [asyncio.create_task(client.post(f"{backend.url}/chat/completions", json=body)) for _ in range(9)]
            now: dict[str, int] = {}
            while (now.get("in_flight"), now.get("waiting")) != (9, 1):
                now = (await client.get(f"{backend.root}/counted")).json()["now"]
            assert now["kv_blocks_free"] < now["kv_blocks"]
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    asyncio.run(go())
    after = backend.idle()["total"]
    assert after["cancelled"] - before["cancelled"] == 9
    assert 0 < after["cancelled_output"] - before["cancelled_output"] < 8 * 3000
    assert 8 * 9 <= after["cancelled_input"] - before["cancelled_input"] <= 9 * 9  # the ninth may run while the others go
    assert after["requests"] == before["requests"]


def test_a_stream_that_is_left_after_some_chunks(client: OpenAI, backend: Running) -> None:
    before = backend.counted()["total"]
    with client.chat.completions.create(
        model="simulated", messages=HELLO, max_tokens=3000, stream=True, extra_body={"ignore_eos": True}
    ) as stream:
        for _ in range(10):
            next(stream)
    after = backend.idle()["total"]
    assert after["cancelled"] - before["cancelled"] == 1
    assert 9 <= after["cancelled_output"] - before["cancelled_output"] < 3000


@pytest.mark.parametrize(("fault", "status"), [("500", 500), ("503", 503), ("429", 429)])
def test_errors_on_purpose(client: OpenAI, fault: str, status: int) -> None:
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="simulated", messages=HELLO, extra_body=of(fail=fault))
    assert (caught.value.status_code, caught.value.code) == (status, "simulated")
    assert ("retry-after" in caught.value.response.headers) == (status != 500)


def test_embeddings_can_fail_like_all(backend: Running) -> None:
    before = backend.counted()["total"]["failed"]
    with pytest.raises(httpx.RemoteProtocolError):
        backend.http.post(f"{backend.url}/embeddings", json={"model": "simulated", "input": "a", **of(fail="die")})
    assert backend.idle()["total"]["failed"] - before == 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_server_that_dies_in_the_midst(backend: Running, stream: bool) -> None:
    before = backend.counted()["total"]
    body = {"model": "simulated", "messages": HELLO, "stream": stream, **of(fail="die", output_tokens=40)}
    with pytest.raises(httpx.RemoteProtocolError):
        backend.http.post(f"{backend.url}/chat/completions", json=body)
    after = backend.idle()["total"]
    assert after["failed"] - before["failed"] == 1
    assert 20 <= after["failed_output"] - before["failed_output"] < 40


@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_a_server_that_hangs(client: OpenAI, backend: Running, fault: str) -> None:
    before = backend.counted()["total"]["failed"]
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(
            model="simulated", messages=HELLO, extra_body=of(fail=fault, output_tokens=8)
        )
    assert backend.idle()["total"]["failed"] - before == 1


def test_lies_and_garbage(client: OpenAI, backend: Running) -> None:
    def usage(**simulate: Any) -> Any:
        return client.chat.completions.create(model="simulated", messages=HELLO, max_tokens=4, extra_body=of(**simulate)).usage

    before = backend.counted()["total"]["output"]
    assert usage(fail="lie").completion_tokens == 40
    assert usage(usage={"completion_tokens": -5, "prompt_tokens": None}).completion_tokens == -5
    assert usage(usage=None) is None
    assert backend.counted()["total"]["output"] - before == 12  # the truth
    raw = backend.http.post(f"{backend.url}/chat/completions", json={"model": "simulated", "messages": HELLO, **of(fail="garbage")})
    assert raw.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        raw.json()


CHAT = {"model": "simulated", "messages": HELLO}
BAD: list[tuple[str, Any, tuple[int, str | None], str]] = [
    ("chat/completions", b"{", (400, None), "not JSON"),
    ("chat/completions", b"", (400, None), "not JSON"),
    ("chat/completions", b"\xff\xfe", (400, None), "not JSON"),
    ("chat/completions", b"[" * 100_000, (400, None), "not JSON"),
    ("chat/completions", [1], (400, None), "not a JSON object"),
    ("chat/completions", {"messages": HELLO}, (400, "model"), "required"),
    ("chat/completions", CHAT | {"model": "gpt-5"}, (404, "model"), '"gpt-5"'),
    ("chat/completions", CHAT | {"model": 5}, (400, "model"), "5: input should be a valid string"),
    ("chat/completions", CHAT | {"max_tokens": -4}, (400, "max_tokens"), "max_tokens: -4: input should be greater"),
    ("chat/completions", CHAT | {"max_tokens": "9"}, (400, "max_tokens"), '"9"'),
    ("chat/completions", CHAT | {"max_tokens": 10**30}, (400, "max_tokens"), "context is 32000 tokens"),
    ("chat/completions", CHAT | {"max_completion_tokens": 31_992}, (400, "max_completion_tokens"), "9 of input and 31992"),
    ("chat/completions", CHAT | {"n": 0}, (400, "n"), "n: 0"),
    ("chat/completions", CHAT | {"n": 1000}, (400, "n"), "n: 1000"),
    ("chat/completions", CHAT | {"stream": "yes"}, (400, "stream"), '"yes"'),
    ("chat/completions", CHAT | {"user": "u" * 300}, (400, "user"), "256"),
    ("chat/completions", CHAT | {"messages": []}, (400, "messages"), "at least one"),
    ("chat/completions", CHAT | {"messages": ["hi"]}, (400, "messages.0"), '"hi"'),
    ("chat/completions", CHAT | {"messages": [{"role": "boss", "content": "x"}]}, (400, "messages.0.role"), '"boss"'),
    ("chat/completions", CHAT | {"messages": [{"role": "user", "content": 5}]}, (400, "messages.0.content"), "5"),
    (
        "chat/completions",
        CHAT | {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        (400, "messages.0.content.0.type"),
        '"image_url"',
    ),
    ("chat/completions", CHAT | {"messages": [{"role": "user", "content": "x" * 200_000}]}, (400, "messages"), "50004 of input"),
    ("chat/completions", CHAT | {"simulate": {"fail": "often"}}, (400, "simulate.fail"), '"often"'),
    ("chat/completions", CHAT | {"simulate": {"output": 5}}, (400, "simulate.output"), "not permitted"),
    ("completions", {"model": "simulated", "prompt": {}}, (400, "prompt"), "an object"),
    ("completions", {"model": "simulated", "prompt": []}, (400, "prompt"), "a list"),
    ("completions", {"model": "simulated", "prompt": [1, -2]}, (400, "prompt"), "-2"),
    ("completions", {"model": "simulated", "prompt": ["a", 5]}, (400, "prompt.1"), "5"),
    ("completions", {"model": "simulated", "prompt": "a", "best_of": 3}, (400, "best_of"), "3"),
    ("completions", {"model": "simulated", "prompt": ["a"] * 100, "n": 100}, (400, "n"), "2048"),
    ("completions", {"model": "simulated", "prompt": "a", "echo": True}, (400, "echo"), "true"),
    ("embeddings", {"model": "simulated"}, (400, "input"), "required"),
    ("embeddings", {"model": "simulated", "input": "a", "encoding_format": "hex"}, (400, "encoding_format"), '"hex"'),
    ("embeddings", {"model": "simulated", "input": "a", "simulate": {"input_tokens": 32_000}}, (400, "input"), "32000 of input"),
    ("responses", {"model": "simulated", "input": 5}, (400, "input"), "5"),
    ("responses", {"model": "simulated", "input": "a", "previous_response_id": "r"}, (400, "previous_response_id"), '"r"'),
    ("nowhere", {}, (404, None), "POST /v1/nowhere"),
    ("models", {}, (405, None), "POST /v1/models"),
]


@pytest.mark.parametrize(("path", "body", "expected", "says"), BAD)
def test_bad_input(backend: Running, path: str, body: Any, expected: tuple[int, str | None], says: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = backend.http.post(f"{backend.url}/{path}", content=content)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == expected
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 300
    assert answer.headers["x-simulated"] == "true"


def test_every_tenth_fails(tmp_path: Path) -> None:
    with running_backend(fail_rate=0.1, counts=tmp_path / "counts") as running:
        asked = {**CHAT, "max_tokens": 1}
        statuses = [running.http.post(f"{running.url}/chat/completions", json=asked).status_code for _ in range(30)]
        assert statuses == ([200] * 9 + [500]) * 3
        assert [one["id"] for one in running.http.get(f"{running.url}/models").json()["data"]] == ["simulated"]
        assert running.http.get(f"{running.root}/health").status_code == 200
        for body, status in (({"serving": 1}, 200), ({"serving": 2}, 400), ({"serving": "1"}, 400), ({}, 400)):
            assert running.http.put(f"{running.root}/replicas", json=body).status_code == status
        assert "bourse_backend_requests_total 27\n" in running.http.get(f"{running.root}/metrics").text
    assert Counted(tmp_path / "counts").total.requests == 27


def test_counts_go_on_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    counted = Counted(path)
    counted.add(Who("a", "r-1"), Outcome.ANSWERED, 10, 5)
    counted.add(Who(None, "r-2"), Outcome.CANCELLED, 7, 1)
    with path.open("ab") as file:
        file.write(b'{"user": "a", "requ')  # the machine went down here
    again = Counted(path)
    assert again.told() == counted.told()
    again.add(Who("a", None), Outcome.ANSWERED, 1, 1)
    assert Counted(path).users["a"].requests == 2
    path.write_text("other things\n")
    with pytest.raises(BadInput, match="not a file"):
        Counted(path)


def test_the_command_serves_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "infra.cli",
        "backend",
        "--port",
        "0",
        "--counts",
        str(tmp_path / "counts"),
        "--tokens-per-s",
        "100000",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/v1", process.stdout.readline())
        assert found
        assert "100,000 tokens/s" in process.stdout.readline()
        httpx.post(f"{found.group()}/chat/completions", json={**CHAT, "max_tokens": 3}, timeout=20)
        body = {**CHAT, "stream": True, "ignore_eos": True}
        with httpx.stream("POST", f"{found.group()}/chat/completions", json=body, timeout=20) as answer:
            lines = answer.iter_lines()
            next(lines)
            assert Counted(tmp_path / "counts").total.output == 3  # before anybody is told: so kill -9 loses nothing
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            rest = list(lines)
        assert '"code":"stopping"' in rest[-4]
        said = process.stdout.read()
        assert process.wait(20) in {130, -signal.SIGINT}
        assert time.monotonic() - began < 5
        assert said == ""
    assert Counted(tmp_path / "counts").total.cancelled == 1
    taken = subprocess.run([*command[:-2], "--speed", "2", "--tokens-per-s", "5"], capture_output=True, text=True, check=False)
    assert (taken.returncode, "give one of them" in taken.stderr) == (2, True)
