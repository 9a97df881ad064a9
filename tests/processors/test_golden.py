"""Recorded journals give their recorded facts, byte by byte (tests/processors/golden.py says how they are made)."""

import json

import golden
import pytest
from auditor import audit
from journal_world import World


@pytest.mark.parametrize("policy", golden.POLICIES)
def test_a_recorded_journal_gives_its_recorded_facts(policy):
    written = (golden.FOLDER / f"{policy}.jsonl").read_text(encoding="utf-8")
    assert golden.text(golden.journal_of(written)) == written


@pytest.mark.parametrize("policy", golden.POLICIES)
def test_the_auditor_agrees_with_what_is_recorded(policy):
    written = (golden.FOLDER / f"{policy}.jsonl").read_text(encoding="utf-8")
    world = World()
    world.take(*(record for _, record in golden.journal_of(written)))
    assert len(audit(world.journal, world.facts)) == 5
    kinds = {next(iter(json.loads(line))) for line in written.splitlines()}
    assert kinds >= {"period_closed", "allocations_closed", "command_refused", "usage_unrouted", "postings", "encoded"}
