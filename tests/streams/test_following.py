"""A gateway's files as another process reads them, while the gateway writes on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from streams.gateway import following
from streams.gateway.following import Following, read
from streams.gateway.write_ahead import Begun, Ended, Position, WriteAhead

START = Position(0, 0)


def one(files: WriteAhead, name: str) -> None:
    files.begin(Begun(name, "ann", "llm", "llama", 5, 100, 50))
    files.end(Ended(name, "ann", "llm", "llama", 6, 100, 7, 0, "reported", 1, 1, None, "ok"))


def names(found: list[Ended]) -> list[str]:
    return [each.request for each in found]


@pytest.mark.parametrize("chunk", [120, 121, 500, 10_000])
def test_a_chunk_that_ends_within_a_line_is_gone_on_from_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(following, "CHUNK_BYTES", chunk)
    files = WriteAhead(tmp_path, 5, segment_bytes=1_000)
    for number in range(30):
        one(files, f"r{number}")
    found, place = read(tmp_path, START, 10**6)
    assert names(found) == [f"r{number}" for number in range(30)]
    assert place == files.ends
    assert read(tmp_path, place, 10**6) == ([], place)
    files.close()


def test_what_is_written_between_two_looks_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segment is read to its end, then gets one more record, then the next segment is there."""
    files = WriteAhead(tmp_path, 5, segment_bytes=300)
    one(files, "a")
    look = following._chunk

    def and_then_it_goes_on(directory: Path, segment: int, offset: int) -> tuple[Path, bytes]:
        seen = look(directory, segment, offset)
        if offset and files.ends.segment == 1:
            one(files, "b")
            one(files, "c")
            assert files.ends.segment == 2
        return seen

    monkeypatch.setattr(following, "_chunk", and_then_it_goes_on)
    found, place = read(tmp_path, START, 10**6)
    more, _ = read(tmp_path, place, 10**6)
    assert names(found + more) == ["a", "b", "c"]
    files.close()


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path / "whole", 5)
    one(files, "a")
    one(files, "b")
    files.close()
    data, path = (tmp_path / "whole" / "0000000001.log").read_bytes(), tmp_path / "0000000001.log"
    place, found = START, []
    for written in range(len(data) + 1):
        path.write_bytes(data[:written])
        more, place = read(tmp_path, place, 10**6)
        found += names(more)
        assert place.offset <= written
    assert (found, place) == (["a", "b"], Position(1, len(data)))


def test_the_next_reader_goes_on_from_what_was_told(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, 5)
    one(files, "a")
    first = Following(tmp_path)
    found, place = first.read(10)
    assert names(found) == ["a"]
    first.close()
    again = Following(tmp_path)
    assert names(again.read(10)[0]) == ["a"], "it was read, and not told"
    again.told(place)
    one(files, "b")
    assert names(again.read(10)[0]) == ["b"]
    again.close()
    third = Following(tmp_path)
    assert (third.told_through, names(third.read(10)[0])) == (place, ["b"])
    third.close()
    files.close()


def test_the_next_reader_waits_until_the_one_before_has_ended(tmp_path: Path) -> None:
    """Two that tell at once could put back what is told."""
    files = WriteAhead(tmp_path, 5)
    first, second = Following(tmp_path), list[Following]()
    waiting = threading.Thread(target=lambda: second.append(Following(tmp_path)), daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert not second
    one(files, "a")
    first.told(files.ends)
    first.close()
    waiting.join(20)
    assert second[0].told_through == files.ends
    second[0].close()
    files.close()
