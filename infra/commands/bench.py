"""`bourse bench`: every benchmark of the checkout, one table, one JSON file."""

from __future__ import annotations

import importlib.util
import inspect
import json
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from infra.commands.figure_files import PlotFile, check_files
from infra.embedded import EmbeddedBroker, EmbeddedClickHouse
from streams.errors import BadInput, Unavailable, UserError
from streams.settings import Settings

FOLDER = Path(__file__).parents[2] / "tests" / "benchmarks"
PREFIX = "bench_"

QUICK: Mapping[str, object] = {
    "sizes": (1_000, 100_000),
    "tenants": 10_000,
    "events": 20_000,
    "rows": 20_000,
    "probes": 150,
    "chunks": 5,
    "repeats": 1,
    "seconds": 5,
}
"""What `--quick` gives to parameters of these names, of the benchmarks that have them: minutes become seconds, figures rough."""

FILE_COLUMNS = 160
"""Width of the table where nobody's terminal limits it."""

Row = dict[str, Any]
"""name, value, unit, baseline, baseline_value, ratio, goal, met; a benchmark may add more, which goes to the JSON file only."""


class Parts:
    """The stores that benchmarks ask for: those of the settings, else embedded ones, started when first asked for."""

    def __init__(self, settings: Settings, stack: ExitStack, console: Console) -> None:
        self._settings = settings
        self._stack = stack
        self._console = console

    @cached_property
    def _home(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bourse-bench-")))

    @cached_property
    def bootstrap(self) -> str:
        """host:port of Kafka."""
        if self._settings.kafka:
            return self._settings.kafka
        self._console.print("starting Kafka …", style="dim")
        return self._stack.enter_context(EmbeddedBroker(self._home, jar_dir=self._settings.jars)).bootstrap

    @cached_property
    def clickhouse_url(self) -> str:
        """URL of ClickHouse."""
        if self._settings.clickhouse:
            return self._settings.clickhouse
        self._console.print("starting ClickHouse …", style="dim")
        return self._stack.enter_context(EmbeddedClickHouse(self._home)).url

    def arguments(self, module: ModuleType, *, quick: bool, offered: Mapping[str, object]) -> dict[str, object]:
        """What a benchmark's `run` is given: the stores that it names, smaller sizes for a quick look, and what else is offered."""
        names = inspect.signature(module.run).parameters
        given: dict[str, object] = {name: getattr(self, name) for name in ("bootstrap", "clickhouse_url") if name in names}
        more = {**offered, **(QUICK if quick else {})}
        return {**given, **{name: value for name, value in more.items() if name in names}}


def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Benchmarks to run; default: all.")] = None,
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here; default: bench-results/TIME.json.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: a look at whether all is well, not figures to quote.")
    ] = False,
    plot_file: PlotFile = None,
) -> None:
    """Run the benchmarks of this checkout, each figure beside a baseline measured in the same run. Exit code 1 if one failed."""
    known = _known()
    chosen = names or sorted(known)
    if unknown := [name for name in chosen if name not in known]:
        raise BadInput(f"benchmark {unknown[0]!r}: one of {', '.join(sorted(known))} is expected")
    check_files(None, plot_file)
    console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
    rows: list[Row] = []
    failed: list[str] = []
    with ExitStack() as stack:
        parts = Parts(Settings.load(), stack, console)
        for number, name in enumerate(chosen, 1):
            began = time.monotonic()
            title = f"{number}/{len(chosen)} {name}"
            with console.status(f"{title} …") as status:

                def progress(text: str, title: str = title, status: Status = status) -> None:
                    status.update(f"{title}: {text}")

                found = _run(known[name], parts, console, quick=quick, offered={"plot": plot_file, "progress": progress})
            if found is None:
                failed.append(name)
            else:
                rows += [{"benchmark": name, **row} for row in found]
            console.print(f"{number}/{len(chosen)} {name}: {'failed' if found is None else f'{time.monotonic() - began:.0f} s'}")
    console.print(_table(rows))
    console.print(f"written to {_write(rows, failed, json_file, quick=quick)}", soft_wrap=True)
    if failed:
        raise UserError(f"failed: {', '.join(failed)}")


def _known() -> dict[str, Path]:
    files = {path.stem.removeprefix(PREFIX): path for path in FOLDER.glob(f"{PREFIX}*.py")}
    if not files:
        raise Unavailable(f"no benchmarks in {FOLDER}: they are part of a checkout, not of an installed package")
    return files


def _run(path: Path, parts: Parts, console: Console, *, quick: bool, offered: Mapping[str, object]) -> list[Row] | None:
    """Rows of one benchmark; None if it failed, which must not cost the figures of the others."""
    try:
        with _importable(path) as module:
            return list(module.run(**parts.arguments(module, quick=quick, offered=offered)))
    except UserError as error:
        console.print(str(error), style="red", markup=False)
        return None
    except Exception:  # noqa: BLE001  a benchmark may fail in any way; it is told, and the exit code says so
        console.print(traceback.format_exc(), style="red", markup=False)
        return None


@contextmanager
def _importable(path: Path) -> Iterator[ModuleType]:
    """The module of a benchmark, with its neighbours importable as when it is run alone."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Unavailable(f"{path} can't be imported")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    sys.path.insert(0, str(path.parent))
    sys.modules[path.stem] = module  # dataclasses and pickled functions look for it there
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = before


def _table(rows: list[Row]) -> Table:
    table = Table("", "value", "", "baseline", "", "ratio", "goal", "", header_style="bold")
    before = ""
    for row in rows:
        if before and row["benchmark"] != before:
            table.add_section()
        before = row["benchmark"]
        met = row.get("met")
        table.add_row(
            str(row["name"]),
            _number(row["value"]),
            str(row["unit"]),
            str(row["baseline"] or ""),
            _number(row["baseline_value"]),
            _number(row["ratio"]),
            _number(row["goal"]) if isinstance(row["goal"], (int, float)) else str(row["goal"] or ""),
            "" if met is None else "met" if met else "missed",
            style=None if met is not False else "yellow",
        )
    return table


def _number(value: object) -> str:
    """Three significant digits, thousands apart."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return "" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _write(rows: list[Row], failed: list[str], path: Path | None, *, quick: bool) -> Path:
    now = datetime.now(UTC)
    target = path or Path("bench-results") / f"{now:%Y%m%dT%H%M%SZ}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "at": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "quick": quick,
        "failed": failed,
        "rows": rows,
    }
    target.write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")
    return target
