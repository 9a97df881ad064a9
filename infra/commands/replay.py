"""`bourse replay --verify`: the recorded journal, folded again, must give the recorded facts byte for byte."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from infra.broker import broker_answers
from infra.commands.progress import counted
from schemas.fact import Fact
from streams.errors import BadInput, Unavailable, UserError
from streams.replay import Difference, PartitionVerdict, ReplayError
from streams.replay import verify as verify_facts
from streams.settings import Settings

CONNECT_S = 5.0
SHOWN_CHARACTERS = 160
"""Of a value that differs; a column of 2,000 tenants is told by the first row that differs."""


def replay(
    verify: Annotated[bool, typer.Option("--verify", help="Compare every fact and every period's state hash.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fold the recorded journal again and compare with what was published. Exit code 1 if anything differs.

    Reads both topics from the beginning and writes nothing; it may run beside a running system.
    """
    if not verify:
        raise BadInput("what shall the replay do? --verify compares it with the published facts")
    settings = Settings.load()
    verdicts = _verdicts(settings, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(_as_json(verdicts), indent=2, ensure_ascii=False))
    else:
        _print(Console(), verdicts)
    if any(verdict.difference for verdict in verdicts):
        raise typer.Exit(1)


def _verdicts(settings: Settings, *, quiet: bool) -> list[PartitionVerdict]:
    config = settings.kafka_client_config()
    if not broker_answers(config, timeout_s=CONNECT_S):
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap} does not answer; bourse up starts it, bourse status tells more")
    tasks: dict[int, TaskID] = {}
    with counted("records", quiet=quiet) as shown:

        def progress(partition: int, done: int, of: int) -> None:
            if partition not in tasks:
                tasks[partition] = shown.add_task(f"journal {partition}")
            shown.update(tasks[partition], completed=done, total=of)

        try:
            return verify_facts(config, settings.topic("journal"), settings.topic("facts"), progress)
        except ReplayError as error:
            raise UserError(f"nothing is proved: {error}") from error


def _print(console: Console, verdicts: list[PartitionVerdict]) -> None:
    table = Table(header_style="bold")
    for heading in ("partition", "journal", "facts equal", "hashes equal", "repeated", "pending"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for verdict in verdicts:
        counts = (verdict.partition, verdict.journal, verdict.facts, verdict.periods, verdict.repeated, verdict.unpublished)
        told = "[bold red]differs" if verdict.difference else "[green]equal"
        table.add_row(*(f"{count:,}" for count in counts), told)
    console.print(table)
    different = [verdict.difference for verdict in verdicts if verdict.difference]
    for difference in different:
        _print_difference(console, difference)
    if not different:
        console.print(proof(verdicts), style="bold green", markup=False, highlight=False, soft_wrap=True)


def proof(verdicts: list[PartitionVerdict]) -> str:
    """What is proved, in one line."""
    journal, facts, periods, waiting = (
        sum(getattr(verdict, name) for verdict in verdicts) for name in ("journal", "facts", "periods", "unpublished")
    )
    if not journal:
        return "the journal is empty, and so are the facts"
    rest = f"; the engine is about to publish {waiting:,} more" if waiting else ""
    return f"{journal:,} journal records give the {facts:,} published facts byte for byte, and {periods:,} equal state hashes{rest}"


def _print_difference(console: Console, difference: Difference) -> None:
    offset, index = difference.fact
    console.print(
        f"\npartition {difference.partition}: the first difference is at journal offset {offset}, fact {index}", style="bold red"
    )
    table = Table("field", "decided by the journal", "recorded in facts", header_style="bold")
    for name, decided, recorded in differing(difference.decided, difference.recorded):
        table.add_row(name, decided, recorded)
    console.print(table)


def differing(decided: Fact | None, recorded: Fact | None) -> list[tuple[str, str, str]]:
    """(field, decided, recorded) of what differs; of a fact that is missing on one side, all that the other says."""
    left, right = _fields(decided), _fields(recorded)
    rows = [("kind", decided.KIND if decided else "no such fact", recorded.KIND if recorded else "no such fact")]
    for name in [*left, *(name for name in right if name not in left)]:
        if decided is None or recorded is None:
            rows.append((name, _short(left.get(name)), _short(right.get(name))))
        elif left.get(name) != right.get(name):
            rows.append(_first_difference(name, left.get(name), right.get(name)))
    if len(rows) == 1 and decided is not None and recorded is not None:
        rows.append(("(bytes)", "all fields are equal", "but written by another version of the schema"))
    return rows


def _fields(fact: Fact | None) -> dict[str, Any]:
    return {} if fact is None else fact.model_dump(mode="json")


def _first_difference(name: str, left: Any, right: Any) -> tuple[str, str, str]:
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        at = next(at for at, pair in enumerate(zip(left, right, strict=True)) if pair[0] != pair[1])
        return f"{name}[{at}]", _short(left[at]), _short(right[at])
    return name, _short(left), _short(right)


def _short(value: Any) -> str:
    if value is None:
        return "–"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _as_json(verdicts: list[PartitionVerdict]) -> dict[str, Any]:
    return {
        "equal": not any(verdict.difference for verdict in verdicts),
        "partitions": [
            {
                "partition": verdict.partition,
                "journal": verdict.journal,
                "facts": verdict.facts,
                "periods": verdict.periods,
                "repeated": verdict.repeated,
                "unpublished": verdict.unpublished,
                "difference": _difference_as_json(verdict.difference),
            }
            for verdict in verdicts
        ],
    }


def _difference_as_json(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    sides = {"decided": difference.decided, "recorded": difference.recorded}
    facts = {side: None if fact is None else {"kind": fact.KIND, **_fields(fact)} for side, fact in sides.items()}
    return {"journal_offset": difference.fact[0], "fact_index": difference.fact[1], **facts}
