"""How many tokens texts are: by the model's own tokenizer where its file is configured, else by a stated estimate.

The estimate is a token for every 4 bytes of UTF-8 begun: near enough for English (3.5 to 4.5) and on the high side for most other
scripts, whose letters are 2 or 3 bytes each. Settlement corrects it either way.

A tokenizer takes some 0.5 µs of CPU a character, so a body of 16 MB would take 9 s, in which nobody else is served if it happens in
the event loop (`encode` of the library keeps Python's lock all the while). So

1. at most COUNTED_CHARS are counted, in pieces from all over the texts, and the rest is taken to be like them: 30 ms of CPU;
2. pieces are short, as the memory that a tokenizer takes grows with the longest word, and a word may be all of a text;
3. a body of more than `at_once_bytes` is read and counted in a thread, by a call that lets others run meanwhile (`off_loop`);
4. while MOST_COUNTED bodies wait for that already, further ones are estimated: whoever sends many large bodies delays the large
   ones of others by MOST_COUNTED × 30 ms at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from streams.errors import BadInput

BYTES_PER_TOKEN = 4
COUNTED_CHARS = 1 << 16
PIECE_CHARS = 1 << 13
PIECE_COSTS = 8
MOST_COUNTED = 32

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Counting:
    """A way of counting.

    Attributes:
        tokens: texts -> tokens of all of them together.
        at_once_bytes: of a body whose texts may be counted in the event loop.
    """

    tokens: Callable[[Sequence[str]], int]
    at_once_bytes: int

    def __call__(self, texts: Sequence[str]) -> int:
        """Tokens of all of them together."""
        return self.tokens(texts)


def _estimate(texts: Sequence[str]) -> int:
    return sum(-(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN) for text in texts)


estimated = Counting(_estimate, 32 << 10)
"""About how many tokens texts are; 0.2 µs each. A body of so many bytes is parsed in 0.1 ms, or 10 ms if it is all brackets."""


class _Threads:
    """Where long bodies are read and counted."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, "counting")
        self._waiting = 0

    async def run(self, count: Counting, size: int, work: Callable[[Counting], Result]) -> Result:
        """Work that counts texts: here if it is short, else in a thread.

        Args:
            count: how it shall count.
            size: bytes that it reads.
            work: given how it must count.
        """
        if size <= count.at_once_bytes:
            return work(count)
        self._waiting += 1
        try:
            counting = count if self._waiting <= MOST_COUNTED else estimated
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, counting)
        finally:
            self._waiting -= 1


off_loop = _Threads().run


def by_tokenizer(path: Path) -> Counting:
    """Counts as a `tokenizer.json` of Hugging Face's library does, within one token for each piece.

    Raises:
        BadInput: the library is not installed, or the file is no tokenizer.
    """
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415  an optional package
    except ImportError as missing:
        raise BadInput("counting by a tokenizer needs the package `tokenizers`: pip install tokenbourse[tokenizer]") from missing
    if not path.is_file():
        raise BadInput(f"tokenizer: {path} is not a file")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as unreadable:  # the library raises nothing more specific
        raise BadInput(f"tokenizer: {path}: {unreadable}") from unreadable

    def count(texts: Sequence[str]) -> int:
        pieces = [piece for text in texts for piece in _cut(text)]
        some = _spread(pieces)
        tokens = sum(map(len, tokenizer.encode_batch_fast(some, add_special_tokens=False)))
        return tokens if len(some) == len(pieces) else -(-tokens * sum(map(len, pieces)) // sum(map(len, some)))

    return Counting(count, 2 << 10)  # 1 ms


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE_CHARS):
        yield text[start : start + PIECE_CHARS]


def _spread(pieces: list[str]) -> list[str]:
    """The pieces, or some at equal distances, of COUNTED_CHARS together; each takes as long as PIECE_COSTS characters more."""
    total = sum(map(len, pieces)) + PIECE_COSTS * len(pieces)
    if total <= COUNTED_CHARS:
        return pieces
    found, reached, wanted = [], 0, 0
    for piece in pieces:
        reached += len(piece) + PIECE_COSTS
        if reached * COUNTED_CHARS > wanted * total:
            found.append(piece)
            wanted += len(piece) + PIECE_COSTS
    return found
