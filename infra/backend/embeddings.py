"""The shape of `/v1/embeddings`: vectors of length 1 that follow from the input and mean nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from infra.backend.prompts import Prompt
from infra.backend.shapes import Usage

DIMENSIONS = 256
"""Where the request names none."""


class Embeddings:
    """One vector for each input. There is nothing to stream: the other parts of a shape are not asked for."""

    def __init__(self, model: str, given: Sequence[Prompt], encoding: str, dimensions: int) -> None:
        """Encoded as "float" or "base64"."""
        self._model = model
        self._given = given
        self._encoding = encoding
        self._dimensions = dimensions

    def usage(self, input_tokens: int, output_tokens: int) -> dict[str, Any]:  # noqa: ARG002  of the shapes' interface
        """There is no output."""
        return {"prompt_tokens": input_tokens, "total_tokens": input_tokens}

    def whole(self, usage: Usage | None) -> dict[str, Any]:
        """All vectors."""
        data = [{"object": "embedding", "index": index, "embedding": self._vector(one)} for index, one in enumerate(self._given)]
        return {"object": "list", "model": self._model, "data": data, "usage": usage}

    def _vector(self, prompt: Prompt) -> list[float] | str:
        drawn = np.frombuffer(hashlib.shake_128(repr(prompt).encode()).digest(self._dimensions), np.uint8)
        vector = drawn.astype(np.float32) - np.float32(127.5)
        vector /= np.sqrt(np.sum(vector * vector))
        return base64.b64encode(vector.astype("<f4").tobytes()).decode() if self._encoding == "base64" else vector.tolist()
