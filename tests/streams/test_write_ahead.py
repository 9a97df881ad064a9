"""What a gateway must not forget: its files, when the process is killed, a disk is full, or bytes are damaged."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.gateway.following import Following, read
from streams.gateway.write_ahead import LOST, Begun, Ended, Position, WriteAhead, WriteAheadError

START = Position(0, 0)
NOW = 1_800_000_000_000


def begun(name: str) -> Begun:
    return Begun(name, "ann", "llm", "llama", NOW, 100, 50)


def ended(name: str, output: int = 7) -> Ended:
    return Ended(name, "ann", "llm", "llama", NOW + 1, 100, output, 0, "reported", 1, 1, None, "ok")


def told(files: WriteAhead, start: Position = START) -> list[str]:
    return [each.request for each in read(files.directory, start, 10**6)[0]]


def tell(files: WriteAhead) -> None:
    following = Following(files.directory)
    following.told(files.ends)
    following.close()
    files.tidy()


def test_what_ended_is_read_once_in_its_order(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW, segment_bytes=1_000)
    names = [f"r{number}" for number in range(50)]
    for name in names:
        files.begin(begun(name))
    assert files.running == 50
    for name in names:
        files.end(ended(name))
    found, place = read(tmp_path, START, 7)
    while True:
        more, behind = read(tmp_path, place, 7)
        if behind == place:
            break
        found, place = found + more, behind
    assert [each.request for each in found] == names
    assert found[3] == ended("r3")
    assert place == files.ends
    assert files.running == 0
    *full, newest = [path.stat().st_size for path in sorted(tmp_path.glob("*.log"))]
    assert newest <= 1_000
    assert all(900 < size <= 1_000 for size in full), "each but the newest holds as many as fit"
    files.close()


def test_files_that_nobody_needs_are_deleted_and_those_of_a_running_request_stay(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW, segment_bytes=500)
    files.begin(begun("long"))
    for number in range(40):
        files.begin(begun(str(number)))
        files.end(ended(str(number)))
    tell(files)
    many = len(list(tmp_path.glob("*.log")))
    assert many > 5, "the first file holds the beginning of one that runs"
    files.end(ended("long"))
    tell(files)
    assert len(list(tmp_path.glob("*.log"))) == 1
    assert set(files._begun_in) <= {files.ends.segment}, "nor is anything kept of them in memory"
    files.close()


def test_what_was_begun_and_never_ended_is_lost_at_its_reservation_once(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW)
    for name in "abc":
        files.begin(begun(name))
    files.end(ended("b"))
    files.close()
    again = WriteAhead(tmp_path, NOW + 9)
    found = read(tmp_path, START, 100)[0]
    assert [(each.request, each.status, each.basis, each.output_tokens, each.ended_ms) for each in found] == [
        ("b", "ok", "reported", 7, NOW + 1),
        ("a", LOST, "reserved", 50, NOW + 9),
        ("c", LOST, "reserved", 50, NOW + 9),
    ]
    assert found[1].latency_ms is None
    again.close()
    third = WriteAhead(tmp_path, NOW + 20)
    assert (third.lost, told(third)) == (0, ["b", "a", "c"])
    tell(third)
    third.close()
    last = WriteAhead(tmp_path, NOW)
    assert told(last, last.told_through) == []
    last.close()


def test_only_one_process_has_the_files(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW)
    with pytest.raises(WriteAheadError, match="another gateway"):
        WriteAhead(tmp_path, NOW)
    files.close()
    WriteAhead(tmp_path, NOW).close()


def _written(directory: Path) -> Path:
    files = WriteAhead(directory, NOW)
    for name in "abc":
        files.begin(begun(name))
        files.end(ended(name))
    files.close()
    return min(directory.glob("*.log"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 400))
def test_a_record_that_breaks_off_was_not_written(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = _written(tmp_path_factory.mktemp("cut"))
    whole = path.read_bytes()
    path.write_bytes(whole[: max(len(whole) - cut, 0)] + bytes(cut % 2 * 64))
    files = WriteAhead(path.parent, NOW)
    names = told(files)
    assert sorted(names) == ["a", "b", "c"][: len(names)], "each that began is told, once"
    files.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_damaged_record_is_named_and_nothing_is_changed(tmp_path_factory: pytest.TempPathFactory, where: float, bit: int) -> None:
    path = _written(tmp_path_factory.mktemp("damaged"))
    data = bytearray(path.read_bytes())
    place = int(where * (len(data) - 1))  # the last one is the line's end: without it the line has broken off
    data[place] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(WriteAheadError, match=r"0000000001\.log: the record at byte \d+ is damaged"):
        WriteAhead(path.parent, NOW)
    assert path.read_bytes() == data


def test_a_position_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "told").write_text("half")
    with pytest.raises(WriteAheadError, match="told: does not hold a position"):
        WriteAhead(tmp_path, NOW)


def test_a_full_disk_takes_nothing_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = WriteAhead(tmp_path, NOW)
    files.begin(begun("a"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:20]))
    with pytest.raises(OSError, match="20 of"):
        files.begin(begun("b"))
    assert next(tmp_path.glob("*.log")).stat().st_size == files.ends.offset, "the part is gone"
    monkeypatch.undo()
    files.end(ended("a"))
    assert (files.running, told(files)) == (0, ["a"])
    files.close()
    again = WriteAhead(tmp_path, NOW)
    assert again.lost == 0
    again.close()


def test_a_segment_that_can_not_be_opened_leaves_the_old_one_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number must not be written to once it is closed: the next client's connection may have it."""
    files = WriteAhead(tmp_path, NOW, segment_bytes=200)
    files.begin(begun("a"))
    files.begin(begun("b"))
    before, size = files._file, files.ends

    def nothing_left(*_args: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", nothing_left)
    for name in "ab":
        with pytest.raises(OSError, match="Too many"):
            files.end(ended(name))
    with pytest.raises(OSError, match="Too many"):
        files.begin(begun("c"))
    assert (files._file, files.ends) == (before, size)
    os.fstat(before)
    monkeypatch.undo()
    files.begin(begun("d"))
    assert (told(files), files.running) == (["a", "b"], 1), "what was owed is written first"
    files.close()


def test_what_could_not_be_written_is_owed_and_nothing_begins_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = WriteAhead(tmp_path, NOW)
    files.begin(begun("a"))

    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        files.end(ended("a"))
    with pytest.raises(OSError, match="No space"):
        files.begin(begun("b"))
    with pytest.raises(OSError, match="No space"):
        files.write_owed()
    assert (files.running, told(files)) == (1, [])
    monkeypatch.undo()
    files.write_owed()
    assert (files.running, told(files)) == (0, ["a"])
    files.begin(begun("c"))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        files.end(ended("c"))
    monkeypatch.undo()
    files.close()  # where there is space again as it ends, nothing is lost
    files.close()
    again = WriteAhead(tmp_path, NOW)
    assert (again.lost, told(again)) == (0, ["a", "c"])
    again.close()


def test_files_hold_so_much_at_most_until_kafka_is_back(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW, segment_bytes=1_000, most_bytes=5_000)
    began = 0
    with suppress(OSError):
        while began < 100:
            files.begin(begun(str(began)))
            began += 1
    assert 5_000 < sum(path.stat().st_size for path in tmp_path.glob("*.log")) < 5_100, "by one record, of some 60 bytes, at most"
    for number in range(began):
        files.end(ended(str(number)))  # what runs may end
    with pytest.raises(OSError, match="5000 bytes wait"):
        files.begin(begun("more"))
    files.close()
    files = WriteAhead(tmp_path, NOW, segment_bytes=1_000, most_bytes=5_000)
    with pytest.raises(OSError, match="5000 bytes wait"):
        files.begin(begun("more"))
    tell(files)
    files.begin(begun("more"))
    files.close()


def test_a_position_is_written_over_the_last_one_which_needs_no_space(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW, segment_bytes=500)
    tell(files)
    before = (tmp_path / "told").stat()
    for number in range(20):
        files.begin(begun(str(number)))
        files.end(ended(str(number)))
    tell(files)
    after = (tmp_path / "told").stat()
    assert (after.st_ino, after.st_size, after.st_blocks) == (before.st_ino, before.st_size, before.st_blocks)
    assert files.told_through == files.ends
    assert len(list(tmp_path.glob("*.log"))) == 1
    files.close()


def test_a_record_that_is_longer_than_a_segment_has_one_of_its_own(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW, segment_bytes=10)
    files.begin(begun("a"))
    files.begin(begun("b"))
    files.end(ended("a"))
    assert [path.stat().st_size > 50 for path in tmp_path.glob("*.log")] == [True] * 3
    assert told(files) == ["a"]
    files.close()


def test_who_ends_a_request_when_the_files_are_closed_writes_into_nothing_else(tmp_path: Path) -> None:
    files = WriteAhead(tmp_path, NOW)
    files.begin(begun("a"))
    files.close()
    others = [(tmp_path / name).open("wb") for name in "xyz"]  # one of them has the number that the closed file had
    with pytest.raises(OSError, match="Bad file descriptor"):
        files.end(ended("a"))
    for other in others:
        other.close()
        assert not Path(other.name).stat().st_size


def test_what_a_machine_forgets_that_loses_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is synced soon and once, a full segment when the next one begins, and the last one as it is closed."""
    synced: list[int] = []
    fsync = os.fsync

    def sync(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        fsync(file)

    monkeypatch.setattr(os, "fsync", sync)
    files = WriteAhead(tmp_path / "soon", NOW, sync_s=0.005)
    files.begin(begun("a"))
    deadline = time.monotonic() + 20
    while files.ends.offset not in synced:
        assert time.monotonic() < deadline, "never synced"
        time.sleep(0.005)
    count = len(synced)
    time.sleep(0.05)
    assert len(synced) == count, "nothing new to sync"
    files.close()
    synced.clear()
    files = WriteAhead(tmp_path / "late", NOW, segment_bytes=200, sync_s=3_600)
    while files.ends.segment == 1:
        files.begin(begun("b"))
    assert synced == [(tmp_path / "late" / "0000000001.log").stat().st_size]
    files.begin(begun("c"))
    files.close()
    assert synced[1:] == [files.ends.offset]


FULL = """
import resource, signal, sys
from pathlib import Path
from streams.gateway.write_ahead import Begun, Ended, WriteAhead
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
files = WriteAhead(Path(sys.argv[1]), 5)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
began = 0
try:
    while True:
        files.begin(Begun(f"r{began}", "ann", "llm", "m", 1, 10, 5))
        began += 1
except OSError as full:
    print(began, full)
try:
    files.end(Ended("r0", "ann", "llm", "m", 2, 10, 3, 0, "reported", 1, 1, None, "ok"))
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    files.write_owed()
    print("owed and paid")
"""


def test_a_file_that_the_system_lets_grow_no_more(tmp_path: Path) -> None:
    """A real limit of the kernel's, which takes a part of a record as a full disk does."""
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    count, told_of = said.splitlines()
    assert 5 < int(count.split()[0]) < 30
    assert told_of == "owed and paid"
    files = WriteAhead(tmp_path, NOW)
    assert (told(files)[0], files.lost) == ("r0", int(count.split()[0]) - 1)
    files.close()


KILLED = """
import sys, random
from pathlib import Path
from streams.gateway.write_ahead import Begun, Ended, WriteAhead
files, number = WriteAhead(Path(sys.argv[1]), 5, segment_bytes=20_000), 0
while True:
    number += 1
    name = f"{sys.argv[2]}-{number}"
    files.begin(Begun(name, "ann", "llm", "m", 1, 10, 5))
    print("b", name, flush=True)
    if number % 3:
        files.end(Ended(name, "ann", "llm", "m", 2, 10, 3, 0, "reported", 1, 1, None, "ok"))
        print("e", name, flush=True)
"""


def test_a_process_that_is_killed_forgets_nothing(tmp_path: Path) -> None:
    """Three lives, each killed at a moment of its own: what each said it had written comes out as ended or as lost, never both."""
    said: dict[str, str] = {}
    for life in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "wal"), str(life)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(random.Random(life).randint(200, 900)):
            kind, name = child.stdout.readline().split()
            said[name] = kind
        child.send_signal(signal.SIGKILL)
        for line in child.stdout:
            if line.endswith("\n"):
                said[line.split()[1]] = line.split()[0]
        child.wait()
    files = WriteAhead(tmp_path / "wal", 9)
    found = read(files.directory, START, 10**6)[0]
    left = {each.request: each.status for each in found}
    assert len(left) == len(found), "each once"
    assert said.keys() <= left.keys()
    assert {name for name, kind in said.items() if kind == "e"} <= {name for name, status in left.items() if status == "ok"}
    assert files.lost > 0
    files.close()
