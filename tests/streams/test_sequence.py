"""A key's sequence only ever grows: after crashes at any moment, with the clock put back, and with two clients at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.errors import BadInput
from streams.sequence import BLOCK, KeyInUse, SequenceFile, beside


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return beside(tmp_path / "acme.key")


def stand_still(monkeypatch: pytest.MonkeyPatch, microseconds: int) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: microseconds * 1000)


def test_numbers_grow_and_begin_at_the_time(path: Path) -> None:
    before = time.time_ns() // 1000
    with SequenceFile(path) as sequence:
        drawn = [sequence.draw() for _ in range(1000)]
    assert drawn == sorted(set(drawn))
    assert before <= drawn[0] <= drawn[-1] <= time.time_ns() // 1000 + 1000
    assert path.name == "acme.key.seq"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_clean_end_gives_the_rest_of_the_block_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_still(monkeypatch, 1_000)
    with SequenceFile(path) as sequence:
        assert [sequence.draw() for _ in range(3)] == [1_000, 1_001, 1_002]
    with SequenceFile(path) as sequence:
        assert sequence.draw() == 1_003


@pytest.mark.parametrize("drawn", [1, 2, 40])
def test_after_a_crash_nothing_is_drawn_again(path: Path, monkeypatch: pytest.MonkeyPatch, drawn: int) -> None:
    """Killed by the kernel, with the clock standing still: only the file knows."""
    program = f"""
import os, time
time.time_ns = lambda: 7_000_000
from pathlib import Path
from streams.sequence import SequenceFile
sequence = SequenceFile(Path({str(path)!r}))
print(max(sequence.draw() for _ in range({drawn})), flush=True)
os.kill(os.getpid(), 9)
"""
    last = int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stdout)
    assert last == 7_000 + drawn - 1
    stand_still(monkeypatch, 7_000)
    with SequenceFile(path) as sequence:
        assert last < sequence.draw() <= last + BLOCK + 1


def test_the_disk_knows_before_a_number_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_still(monkeypatch, 5)
    sequence = SequenceFile(path)
    assert sequence.is_spent
    for _ in range(3):
        assert sequence.draw() <= int(path.read_text())
        assert not sequence.is_spent
    stand_still(monkeypatch, 10 * BLOCK)
    assert sequence.is_spent
    assert 10 * BLOCK == sequence.draw() <= int(path.read_text())
    sequence.close()


def test_a_clock_put_back_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_still(monkeypatch, 10**9)
    with SequenceFile(path) as sequence:
        last = sequence.draw()
    stand_still(monkeypatch, 5)
    with SequenceFile(path) as sequence:
        assert sequence.draw() == last + 1


def test_only_one_client_draws(path: Path) -> None:
    first = SequenceFile(path)
    with pytest.raises(KeyInUse, match="another client"):
        SequenceFile(path)
    first.draw()
    first.close()
    first.close()
    SequenceFile(path).close()


@pytest.mark.parametrize("text", ["x", "-1", "1 2", str(2**60)])
def test_a_file_that_holds_something_else_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(BadInput, match="not a sequence number"):
        SequenceFile(path)
    path.unlink()  # and its lock is free
    SequenceFile(path).close()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file or directory"):
        SequenceFile(tmp_path / "nowhere" / "k.seq")
