"""Just enough of ClickHouse's grammar to serve HTTP: where a statement ends and its data begin, which format it names.

The engine parses every statement itself; here only what a server does around its parser is decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from infra.clickhouse_errors import ClickHouseError

_TOKEN = re.compile(
    rb"""
      (?P<space>   \s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?\*/ )
    | (?P<text>    '(?:[^'\\]|\\.|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<quoted>  "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
    | (?P<word>    [A-Za-z_][A-Za-z0-9_]* )
    | (?P<number>  \d[\w.]* )
    | (?P<sign>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_OUTPUT = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "("})
_DIRECT_OUTPUT = frozenset({"KILL", "CHECK"})
_READS = _OUTPUT | {"CHECK", "USE", "SET"}
# Functions and engines that reach the machine's files or run its programs. A server confines them to a directory; this
# engine would not, so that a query could read any file of the user who runs it.
_LOCAL_ACCESS = frozenset({"FILE", "FILECLUSTER", "EXECUTABLE", "EXECUTABLEPOOL", "PYTHON", "SQLITE", "HDFS"})


class Kind(StrEnum):
    """How a statement is carried out."""

    STREAMED = "streamed"  # has a result, of any size
    DIRECT = "direct"  # has a small result, or none
    INSERT = "insert"  # data follow the statement


@dataclass(frozen=True)
class Statement:
    """A statement cut into what the engine needs.

    Attributes:
        kind: how it is carried out.
        verb: its first word, upper case.
        head: the text before FORMAT (STREAMED, INSERT), or the whole (DIRECT).
        format: the named format, None if it names none.
        tail: what follows FORMAT and its name, a SETTINGS clause or nothing (STREAMED).
        data_at: where the data begin, bytes from the start (INSERT).
        stateful: changes what later statements of the same session see.
    """

    kind: Kind
    verb: str
    head: str
    format: str | None = None
    tail: str = ""
    data_at: int = 0
    stateful: bool = False

    @property
    def reads_only(self) -> bool:
        """True if a GET may carry it."""
        return self.verb in _READS

    @property
    def has_result(self) -> bool:
        """True if rows come back, even if there are none."""
        return self.kind is Kind.STREAMED or self.verb in _DIRECT_OUTPUT


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    depth: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text in words


def _tokens(sql: bytes) -> Iterator[_Token]:
    depth = 0
    for found in _TOKEN.finditer(sql):
        kind = found.lastgroup if found.lastgroup != "tag" else "text"
        if kind == "space" or kind is None:
            continue
        raw = found.group()
        depth -= raw in {b")", b"]", b"}"}
        text = raw.decode("utf-8", "replace").upper() if kind == "word" else raw.decode("utf-8", "replace")
        yield _Token(kind, text, found.start(), found.end(), depth)
        depth += raw in {b"(", b"[", b"{"}


def parse(sql: bytes, *, complete: bool) -> Statement | None:
    """Cut one statement.

    Args:
        sql: the request's text so far; of an INSERT, data may follow.
        complete: False if more bytes may come.

    Returns:
        The statement, or None if more bytes are needed to tell.

    Raises:
        ClickHouseError: empty, several statements, or something that a server does not do over HTTP.
    """
    first = next(_tokens(sql), None)
    if first is None:
        if not complete:
            return None
        raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: failed at position 1 (end of query): Empty query")
    if first.is_word("INSERT"):
        return _insert(sql, complete=complete)
    return _other(sql, first.text) if complete else None


def _insert(sql: bytes, *, complete: bool) -> Statement | None:
    selects = False
    previous: _Token | None = None
    for token in _tokens(sql):
        if not complete and token.kind == "sign" and token.text in {"'", '"', "`", "$"}:
            return None  # a literal whose end has not come yet
        _refuse_local_access(previous, token)
        if token.depth == 0 and previous is not None:
            if token.is_word("VALUES") and not selects:
                return Statement(Kind.INSERT, "INSERT", _text(sql[: token.start]), "Values", data_at=token.end)
            if token.kind == "word" and previous.is_word("FORMAT"):
                if selects:  # chDB would insert nothing, and say nothing
                    raise ClickHouseError(48, "NOT_IMPLEMENTED", "data for input(): insert them into a table, then SELECT from it")
                return _insert_with_format(sql, previous, token, complete=complete)
        selects = selects or token.is_word("SELECT", "WITH")
        previous = token
    if complete and not selects:
        raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: an INSERT needs VALUES, FORMAT or SELECT")
    return Statement(Kind.DIRECT, "INSERT", _text(sql)) if complete else None


def _insert_with_format(sql: bytes, word: _Token, name: _Token, *, complete: bool) -> Statement | None:
    data_at = _data_start(sql, name.end)
    if data_at is None:
        if not complete:
            return None
        data_at = len(sql)
    return Statement(Kind.INSERT, "INSERT", _text(sql[: word.start]), _text(sql[name.start : name.end]), data_at=data_at)


def _data_start(sql: bytes, at: int) -> int | None:
    """After the format's name come blanks and at most one line break, then the data; None if that can't be told yet."""
    while at < len(sql) and sql[at : at + 1] in {b" ", b"\t", b"\f"}:
        at += 1
    if at < len(sql) and sql[at : at + 1] == b"\r":
        at += 1
    if at >= len(sql):
        return None
    return at + 1 if sql[at : at + 1] == b"\n" else at


def _other(sql: bytes, verb: str) -> Statement:
    tokens = list(_tokens(sql))
    format_at: int | None = None
    for index, token in enumerate(tokens):
        previous = tokens[index - 1] if index else None
        _refuse_local_access(previous, token)
        if token.text == ";" and token.kind == "sign" and index + 1 < len(tokens):
            raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        if token.depth == 0 and token.is_word("FORMAT") and _ends_after_name(tokens, index):
            format_at = index
    end = tokens[-1].start if tokens[-1].text == ";" else len(sql)
    stateful = verb in {"SET", "USE"} or (len(tokens) > 1 and tokens[1].is_word("TEMPORARY"))
    if verb not in _OUTPUT:
        return Statement(Kind.DIRECT, verb, _text(sql[:end]), stateful=stateful)
    if format_at is None:
        return Statement(Kind.STREAMED, verb, _text(sql[:end]))
    name = tokens[format_at + 1]
    return Statement(
        Kind.STREAMED,
        verb,
        _text(sql[: tokens[format_at].start]),
        _text(sql[name.start : name.end]),
        tail=_text(sql[name.end : end]).strip(),
    )


def _ends_after_name(tokens: list[_Token], index: int) -> bool:
    """True if FORMAT at `index` is the clause and not a column's name: its format's name ends the query or SETTINGS follow."""
    after = tokens[index + 1 : index + 3]
    return len(after) > 0 and after[0].kind == "word" and (len(after) == 1 or after[1].text == ";" or after[1].is_word("SETTINGS"))


def _refuse_local_access(previous: _Token | None, token: _Token) -> None:
    if previous is None:
        return
    if previous.is_word("INTO", "FROM") and token.is_word("OUTFILE", "INFILE"):
        raise ClickHouseError(48, "NOT_IMPLEMENTED", f"{previous.text} {token.text} is not available over HTTP")
    if token.text == "(" and previous.is_word(*_LOCAL_ACCESS):
        raise ClickHouseError(
            497, "ACCESS_DENIED", f"{previous.text.lower()}() reaches this machine's files: not available over HTTP"
        )
    if previous.is_word("FROM", "JOIN") and token.kind == "text":
        raise ClickHouseError(497, "ACCESS_DENIED", "a file as a table is not available over HTTP")


def _text(sql: bytes) -> str:
    return sql.decode("utf-8", "surrogateescape").strip()


def for_our_query_ids(kill: str) -> str:
    """A KILL QUERY whose `query_id` means the id that the client knows: it travels as the query's log comment."""
    out: list[bytes] = []
    at = 0
    sql = kill.encode("utf-8", "surrogateescape")
    for token in _tokens(sql):
        if token.is_word("QUERY_ID"):
            out += [sql[at : token.start], b"Settings['log_comment']"]
            at = token.end
    return b"".join([*out, sql[at:]]).decode("utf-8", "surrogateescape")


def quoted(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
