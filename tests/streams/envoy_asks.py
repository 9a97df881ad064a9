"""What Envoy sends to who decides for it, and how its answers are read; by gRPC's modules of Envoy's own protocol."""

from __future__ import annotations

from typing import Any

from envoy.data.accesslog.v3.accesslog_pb2 import HTTPAccessLogEntry
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage
from envoy.service.auth.v3 import attribute_context_pb2, external_auth_pb2

CHAT = "/v1/chat/completions"
USAGE = b'{"usage": {"prompt_tokens": 9, "completion_tokens": 4}}'
"""The end of an answer."""


def checked(headers: dict[str, str], body: bytes, path: str = CHAT, method: str = "POST") -> Any:
    """The question about one request."""
    http = attribute_context_pb2.AttributeContext.HttpRequest(
        method=method, path=path, headers={"content-length": str(len(body)), **headers}, raw_body=body
    )
    attributes = attribute_context_pb2.AttributeContext(request=attribute_context_pb2.AttributeContext.Request(http=http))
    return external_auth_pb2.CheckRequest(attributes=attributes)


def ended(request: str | None) -> Any:
    """A line of the access log; None: of a request that was never admitted."""
    entry = HTTPAccessLogEntry()
    if request is not None:
        entry.common_properties.metadata.filter_metadata["bourse"]["request"] = request
    return StreamAccessLogsMessage(http_logs=StreamAccessLogsMessage.HTTPAccessLogEntries(log_entry=[entry]))


def told(options: Any) -> dict[str, str]:
    """Headers that an answer sets."""
    return {each.header.key: each.header.value for each in options}
