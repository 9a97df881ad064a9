"""Renders all artefacts into `schemas/rendered` and new versions into `schemas/history`: `python -m schemas.render`.

The files are committed: a reviewer sees what a change of a model does to Avro, ClickHouse and JSON, and the tests fail where
they differ from what the models say.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.avro import avro_fingerprint, record
from schemas.catalogue import EVENTS
from schemas.clickhouse import tables
from schemas.clickhouse_rollups import rollups
from schemas.clickhouse_setup import every_view
from schemas.evolution import history
from schemas.jsonschema import json_schema
from schemas.published import PUBLISHED

HERE = Path(__file__).parent
RENDERED = HERE / "rendered"
HISTORY = HERE / "history"
DATABASE = "bourse"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def artefacts() -> dict[str, str]:
    """Path under `rendered/` -> text, of everything that the models render to."""
    files = {f"avro/{kind}.avsc": _pretty(record(model)) for kind, model in EVENTS.items()}
    files |= {f"clickhouse/{table.name}.sql": table.sql for table in tables(DATABASE)}
    files |= {f"clickhouse/{view.name}.sql": f"{view.sql};\n" for view in every_view(DATABASE)}
    files |= {f"clickhouse/{rollup.name}.sql": rollup.sql for rollup in rollups(DATABASE)}
    files |= {f"json/{model.KIND}.schema.json": _pretty(json_schema(model)) for model in PUBLISHED}
    files["avro/fingerprints.json"] = _pretty({kind: avro_fingerprint(record(model)).hex() for kind, model in EVENTS.items()})
    return files


def new_history(past: Mapping[tuple[str, int], Any]) -> dict[str, str]:
    """File name under `history/` -> text, of versions that the history lacks.

    Raises:
        ValueError: a version that the history has would now be written otherwise: records of two schemas would bear one version.
    """
    missing: dict[str, str] = {}
    for kind, model in EVENTS.items():
        known = past.get((kind, model.VERSION))
        if known is None:
            missing[f"{kind}.v{model.VERSION}.avsc"] = _pretty(record(model))
        elif avro_fingerprint(known) != avro_fingerprint(record(model)):
            raise ValueError(
                f"{model.__name__} differs from history/{kind}.v{model.VERSION}.avsc: raise its VERSION "
                f"(or delete the file, if no release has written with it)"
            )
    return missing


def write(files: Mapping[str, str], under: Path) -> None:
    """Writes the files, making folders as needed."""
    for name, text in files.items():
        path = under / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Renders everything; returns 1 where a changed model keeps its version."""
    try:
        versions = new_history(history())
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    files = artefacts()
    write(versions, HISTORY)
    for stale in RENDERED.rglob("*.*"):
        if stale.is_file() and str(stale.relative_to(RENDERED)) not in files:
            stale.unlink()
    write(files, RENDERED)
    sys.stdout.write(f"{len(files)} files rendered, {len(versions)} versions added to the history\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
