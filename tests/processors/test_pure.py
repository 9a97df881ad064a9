"""Deciding is pure (DESIGN.md, law 2): what enforces it sees each breach. Imports of our own folders are import-linter's."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPURE = {"hash", "id", "open", "input", "print", "eval", "exec", "breakpoint"}
"""Builtins that differ between processes, or reach out of them. ruff's list of banned names can't name builtins."""


def builtins_in(source: str) -> set[str]:
    """Those that a file uses and does not itself give to something else, as to the open tokens of an order."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    given = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {
        each.arg for each in nodes if isinstance(each, ast.arg)
    }
    return {node.id for node in names} & IMPURE - given


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import time", "TID251"),
        ("from datetime import datetime", "TID251"),
        ("import random", "TID251"),
        ("import uuid", "TID251"),
        ("import os", "TID251"),
        ("import asyncio", "TID251"),
        ("import numpy as np\n\nDRAWN = np.random.default_rng()", "TID251"),
    ],
)
def test_the_linter_refuses_it_in_processors_alone(line: str, rule: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "--stdin-filename"]
    for folder, refused in (("processors", True), ("streams", False)):
        told = subprocess.run([*command, f"{folder}/x.py", "-"], cwd=ROOT, input=line, capture_output=True, text=True, check=False)
        assert (f" {rule} " in told.stdout) == refused, told.stdout + told.stderr


def test_no_builtin_that_differs_between_processes_decides() -> None:
    files = sorted((ROOT / "processors").rglob("*.py"))
    assert len(files) > 100
    assert {file.name: found for file in files if (found := builtins_in(file.read_text()))} == {}
    assert builtins_in("ordered = sorted(names, key=hash)\nprint(ordered)") == {"hash", "print"}
