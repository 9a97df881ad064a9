"""What may be asked: the bodies of requests, checked before anything is queued. Fields that aren't here change nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.backend import prompts
from infra.backend.prompts import Prompt
from infra.backend.refused import RefusedRequest, refused_body, refused_field, shown

MODEL = "simulated"
LONGEST_NAME = 256
SHORTEST_ANSWER, ANSWERS = 16, 240
"""Lengths that answers have by the prompts' checksums: 16 to 255 tokens."""
Tokens = Annotated[int, Field(ge=1)]
Choices = Annotated[int, Field(ge=1, le=128)]
"""OpenAI's bound of n."""


class Fault(StrEnum):
    """How to go wrong on purpose: `simulate: {"fail": …}`."""

    ERROR = "500"
    UNAVAILABLE = "503"
    BUSY = "429"
    HANG = "hang"
    """Nothing is ever answered; it ends when the client goes."""
    STALL = "stall"
    """After half of the answer nothing more comes."""
    DIE = "die"
    """After half of the answer the connection ends."""
    LIE = "lie"
    """The usage tells ten times the output tokens there were."""
    GARBAGE = "garbage"
    """Status 200, and a body that is not JSON."""


class Simulate(BaseModel):
    """What the request chooses of the simulation.

    Attributes:
        input_tokens: of each prompt, instead of what the rule counts.
        output_tokens: what it would like to say; more than is allowed ends with finish_reason "length".
        fail: a fault.
        usage: replaces these fields of the usage that is told, whatever they are; null tells none.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    fail: Annotated[Fault, Field(strict=False)] | None = None
    usage: dict[str, Any] | None = Field(default_factory=dict)


class StreamOptions(BaseModel):
    """Of a stream."""

    model_config = ConfigDict(strict=True)
    include_usage: bool | None = None


class Asked(BaseModel, ABC):
    """What all requests have."""

    model_config = ConfigDict(strict=True)
    INPUT: ClassVar[str] = "input"
    """The field with its input, for errors."""
    model: Annotated[str, Field(min_length=1)]
    user: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None
    simulate: Simulate = Field(default_factory=Simulate)

    def prompts(self) -> list[Prompt]:
        """Its inputs, counted.

        Raises:
            RefusedRequest: what is given as input is none.
        """
        given = self.given()
        wished = self.simulate.input_tokens
        return given if wished is None else [Prompt(wished, one.checksum) for one in given]

    @abstractmethod
    def given(self) -> list[Prompt]:
        """Its inputs, by the rule."""


class Generating(Asked):
    """What all have that generate text.

    Attributes:
        ignore_eos: vLLM's: an answer is as long as it may be.
    """

    stream: bool | None = None
    ignore_eos: bool | None = None

    @property
    def choices(self) -> int:
        """Answers to each prompt."""
        return 1

    @property
    def include_usage(self) -> bool:
        """A stream tells its usage."""
        return True

    @property
    @abstractmethod
    def most(self) -> tuple[str, int | None]:
        """The field that limits the output tokens, and its value; None: as many as the context holds."""


class Choosing(Generating):
    """What may ask for several answers, and in streams for usage."""

    n: Choices | None = None
    stream_options: StreamOptions | None = None

    @property
    def choices(self) -> int:
        """As asked."""
        return self.n or 1

    @property
    def include_usage(self) -> bool:
        """If it was asked for."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Choosing):
    """`/v1/chat/completions`."""

    INPUT: ClassVar[str] = "messages"
    messages: list[Any]
    tools: list[Any] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    logprobs: Literal[False] | None = None

    @property
    def most(self) -> tuple[str, int | None]:
        """The newer name goes before the older."""
        if self.max_completion_tokens is None:
            return "max_tokens", self.max_tokens
        return "max_completion_tokens", self.max_completion_tokens

    def given(self) -> list[Prompt]:
        """One conversation."""
        return [prompts.of_messages("messages", self.messages, self.tools)]


class CompletionRequest(Choosing):
    """`/v1/completions`."""

    INPUT: ClassVar[str] = "prompt"
    prompt: Any
    max_tokens: Tokens = 16
    best_of: Choices | None = None
    echo: Literal[False] | None = None
    logprobs: None = None

    @property
    def most(self) -> tuple[str, int | None]:
        """OpenAI's default is 16."""
        return "max_tokens", self.max_tokens

    def given(self) -> list[Prompt]:
        """One or several."""
        if self.best_of is not None and self.best_of != self.choices:
            raise refused_field("best_of", self.best_of, "no choices are left out here: should be n")
        return prompts.of_input("prompt", self.prompt)


class ResponseRequest(Generating):
    """`/v1/responses`. Nothing is stored."""

    input: Any
    instructions: str | None = None
    tools: list[Any] | None = None
    max_output_tokens: Tokens | None = None
    background: Literal[False] | None = None
    previous_response_id: None = None
    conversation: None = None

    @property
    def most(self) -> tuple[str, int | None]:
        """By its own name."""
        return "max_output_tokens", self.max_output_tokens

    def given(self) -> list[Prompt]:
        """One conversation."""
        return [prompts.of_response(self.input, self.instructions, self.tools)]


class EmbeddingRequest(Asked):
    """`/v1/embeddings`."""

    input: Any
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=4096)] | None = None

    def given(self) -> list[Prompt]:
        """One or several."""
        return prompts.of_input("input", self.input)


class Serving(BaseModel):
    """How many replicas take requests."""

    model_config = ConfigDict(strict=True, extra="forbid")
    serving: int


Body = TypeVar("Body", bound=Asked)


def read(kind: type[Body], body: bytes) -> Body:
    """A request's body.

    Raises:
        RefusedRequest: it is no JSON, a field is wrong, or the model is not here.
    """
    try:
        asked = kind.model_validate_json(body)
    except ValidationError as error:
        raise refused_body(error) from None
    if not asked.model.startswith(MODEL):
        raise RefusedRequest(
            f"model: {shown(asked.model)}: here is only {MODEL!r}, and what begins with it",
            param="model",
            code="model_not_found",
            status=404,
        )
    return asked


class Answer(NamedTuple):
    """What is answered to a prompt: how many tokens, and why no more (the finish_reason)."""

    tokens: int
    reason: Literal["length", "stop"]


def answers(asked: Generating, given: list[Prompt], context: int) -> list[Answer]:
    """To each prompt.

    Raises:
        RefusedRequest: input and output together are more than the context holds, or there are too many sequences.
    """
    if len(given) * asked.choices > prompts.MOST_PROMPTS:
        raise refused_field("n", asked.choices, f"{len(given)} prompts: at most {prompts.MOST_PROMPTS} answers together")
    return [_answer(asked, prompt, context) for prompt in given]


def check_context(asked: Asked, given: list[Prompt], context: int) -> None:
    """Each input leaves room for a token.

    Raises:
        RefusedRequest: one does not.
    """
    longest = max(prompt.tokens for prompt in given)
    if longest >= context:
        raise _too_long(asked.INPUT, context, f"{longest} of input")


def _answer(asked: Generating, prompt: Prompt, context: int) -> Answer:
    room = context - prompt.tokens
    field, most = asked.most
    if room < 1:
        raise _too_long(asked.INPUT, context, f"{prompt.tokens} of input")
    if most is not None and most > room:
        raise _too_long(field, context, f"{prompt.tokens} of input and {most} of {field}")
    most = most or room
    wish = asked.simulate.output_tokens or SHORTEST_ANSWER + prompt.checksum % ANSWERS
    if asked.ignore_eos or wish > most:
        return Answer(most, "length")
    return Answer(wish, "stop")


def _too_long(param: str, context: int, asked: str) -> RefusedRequest:
    return RefusedRequest(
        f"{param}: this model's context is {context} tokens; asked are {asked}", param=param, code="context_length_exceeded"
    )
