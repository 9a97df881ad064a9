"""ClickHouse's errors and the HTTP statuses that its server answers with."""

from __future__ import annotations

import re
from typing import Self

_CODE = re.compile(r"Code: (\d+)\. (?:DB::Exception: )?(.*)\Z", re.DOTALL)
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)(?: \(version [^)]*\))?\s*\Z")

# HTTPHandler.cpp, exceptionCodeToHTTPStatus. Everything else is 500.
_STATUS = {
    400: """BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING
        CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4
        CANNOT_PARSE_IPV6 CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN ILLEGAL_COLUMN
        UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE TOO_DEEP_AST TOO_BIG_AST UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR
        INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE""",
    401: "REQUIRED_PASSWORD",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE",
    404: """UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE UNKNOWN_SETTING
        UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT UNKNOWN_DATABASE_ENGINE UNKNOWN_TYPE_OF_QUERY
        NO_ELEMENTS_IN_CONFIG""",
    408: "TIMEOUT_EXCEEDED",
    411: "HTTP_LENGTH_REQUIRED",
    413: "QUERY_IS_TOO_LARGE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK",
}
_STATUS_OF = {name: status for status, names in _STATUS.items() for name in names.split()}


class ClickHouseError(Exception):
    """An error as a client expects it: `code` (number), `name` (its constant), `message`."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """The engine's exception, whose text says `Code: N. DB::Exception: … (NAME)`."""
        text = str(error)
        found = _CODE.search(text)
        if found is None:
            return cls(1001, "STD_EXCEPTION", f"{type(error).__name__}: {text}")
        name = _NAME.search(found[2])
        message = found[2][: name.start()] if name else found[2]
        return cls(int(found[1]), name[1] if name else "UNKNOWN_EXCEPTION", message.strip())

    @property
    def status(self) -> int:
        """HTTP status."""
        return _STATUS_OF.get(self.name, 500)

    def text(self, version: str) -> str:
        """The body of the answer."""
        return f"Code: {self.code}. DB::Exception: {self.message} ({self.name}) (version {version} (embedded))\n"
