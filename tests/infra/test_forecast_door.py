"""`bourse forecast` as a program: files in, forecasts or their score out, and never a traceback."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
import typer
from pyarrow import parquet
from typer.testing import CliRunner

from infra.commands.forecast import forecast
from streams.errors import BadInput

HEADER = ["tenant", "period", "mean", "p50", "p90", "p99"]
ROWS = [
    ("b", 0, 10),
    ("a", 0, 20),
    ("a", 1, 22),
    ("b", 1, 12),
    ("a", 2, 24),
    ("b", 2, None),
    ("c", 3, 9),
    ("a", 4, 21),
    ("b", 4, 11),
]


@pytest.fixture
def door():
    """Runs the command; its error, if the user made one."""
    app = typer.Typer()
    app.command("forecast")(forecast)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


def write(path, rows):
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = pa.table(dict(zip(("tenant", "period", "tokens"), columns, strict=True)))
    if path.suffix == ".csv":
        arrow_csv.write_csv(table, path)
    else:
        parquet.write_table(table, path)
    return path


def read(path):
    table = parquet.read_table(path) if path.suffix == ".parquet" else arrow_csv.read_csv(path)
    assert table.column_names == HEADER
    return table.to_pylist()


def of(text):
    return list(csv.DictReader(io.StringIO(text)))


def numbers(rows):
    return [(str(row["tenant"]), *(float(row[name]) for name in HEADER[1:])) for row in rows]


def test_a_row_for_each_tenant_and_period_from_its_first(door, tmp_path):
    result = door(write(tmp_path / "demand.csv", ROWS))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == ",".join(HEADER)
    found = of(result.stdout)
    assert [(row["tenant"], int(row["period"])) for row in found] == [
        *((tenant, period) for period in range(3) for tenant in "ab"),
        *((tenant, period) for period in (3, 4) for tenant in "abc"),
    ]
    assert [float(row["mean"]) for row in found[:2]] == [0, 0]  # nothing is earlier
    assert float(found[2]["mean"]) == pytest.approx(20, rel=0.2)


def test_every_way_in_and_out_gives_the_same(door, tmp_path):
    ways = []
    for suffix in (".csv", ".parquet"):
        source = write(tmp_path / f"demand{suffix}", ROWS)
        ways.append(numbers(of(door(source).stdout)))
        for target in (tmp_path / f"from{suffix}.csv", tmp_path / f"from{suffix}.parquet"):
            assert door(source, "--output", target).exit_code == 0
            ways.append(numbers(read(target)))
    assert all(way == ways[0] for way in ways)
    assert not list(tmp_path.glob("*.partial"))


def test_the_order_of_rows_changes_nothing(door, tmp_path):
    rng = np.random.default_rng(1)
    rows = [(f"t{tenant}", period, int(rng.integers(0, 10**6))) for period in range(60) for tenant in range(8)]
    shuffled = [rows[number] for number in rng.permutation(len(rows))]
    assert door(write(tmp_path / "a.csv", rows)).stdout == door(write(tmp_path / "b.csv", shuffled)).stdout


def test_later_rows_change_no_earlier_forecast(door, tmp_path):
    earlier = door(write(tmp_path / "a.csv", ROWS[:6])).stdout
    assert door(write(tmp_path / "b.csv", ROWS)).stdout.startswith(earlier)


def test_a_missing_row_is_a_gap(door, tmp_path):
    without = [row for row in ROWS if row[2] is not None]
    assert door(write(tmp_path / "a.csv", without)).stdout == door(write(tmp_path / "b.csv", ROWS)).stdout


@pytest.mark.parametrize("gap", ["", "null", "NaN", "nan", "NA", "None", "  "])
def test_words_for_a_gap(door, tmp_path, gap):
    path = tmp_path / "demand.csv"
    path.write_text(f"tenant,period,tokens\na,0,5\na,1,{gap}\na,2,7\na,3,\n")
    means = [float(row["mean"]) for row in of(door(path).stdout)]
    assert means[0] == 0
    assert means[1] == means[2] == pytest.approx(5, rel=0.2)
    assert means[3] > means[2]


def test_tenants_keep_their_type_and_their_names(door, tmp_path):
    source = write(tmp_path / "numbers.parquet", [(10, 0, 5), (9, 0, 6)])
    assert door(source, "--output", tmp_path / "out.parquet").exit_code == 0
    assert [row["tenant"] for row in read(tmp_path / "out.parquet")] == [9, 10]
    source = write(tmp_path / "names.csv", [('a,"b"', 0, 5), ("NA", 0, 6), ("null", 0, 7), ("Zürich\n2", 0, 8)])
    assert [row["tenant"] for row in of(door(source).stdout)] == ["NA", "Zürich\n2", 'a,"b"', "null"]


def test_other_columns_dictionaries_and_integer_types(door, tmp_path):
    table = pa.table(
        {
            "when": [1, 2],
            "tokens": pa.array([5, None], pa.uint32()),
            "tenant": pa.array(["a", "a"]).dictionary_encode(),
            "period": pa.array([3, 4], pa.int16()),
        }
    )
    parquet.write_table(table, tmp_path / "demand.parquet")
    assert [(row["tenant"], row["period"]) for row in of(door(tmp_path / "demand.parquet").stdout)] == [("a", "3"), ("a", "4")]


def test_the_score(door, tmp_path):
    """By hand: half of the periods is from 2 on; 2's forecasts of 10 a tenant err by 2 each, 3 is a gap."""
    rows = [(tenant, period, 10 if period < 2 else 12) for period in (0, 1, 2) for tenant in "abcd"] + [("a", 3, None)]
    result = door(write(tmp_path / "demand.csv", rows), "--score", "--json")
    found = json.loads(result.stdout)
    assert {name: found[name] for name in ("from", "to", "periods", "gaps", "rows")} == {
        "from": 2,
        "to": 3,
        "periods": 1,
        "gaps": 1,
        "rows": 4,
    }
    assert found["last_value_wape"] == pytest.approx(2 / 12)
    forecasts = [row for row in of(door(tmp_path / "demand.csv").stdout) if row["period"] == "2"]
    assert found["wape"] == pytest.approx(sum(abs(12 - float(row["mean"])) for row in forecasts) / 48)
    above = [12 - float(row["p90"]) for row in forecasts]
    assert found["pinball_90"] == pytest.approx(sum(max(0.9 * each, -0.1 * each) for each in above) / 48)
    assert found["coverage_90"] == sum(12 for each in above if each <= 0) / 48


def test_the_score_for_people(door, tmp_path):
    rows = [("a", period, 10) for period in range(10)]
    told = door(write(tmp_path / "demand.csv", rows), "--score", "--from", 8).stdout
    assert told.splitlines()[0] == "2 rows of 2 periods, 8 to 9"
    assert [line[:18].strip() for line in told.splitlines()[1:]] == [
        "WAPE",
        "last value's WAPE",
        "pinball at 0.9",
        "coverage of 0.9",
    ]
    assert door(write(tmp_path / "zero.csv", [("a", 0, 0)]), "--score").stdout.count("no demand") == 4


def test_the_length_of_a_period_says_how_long_a_day_is(door, tmp_path):
    rows = [("a", period, 1000 + 900 * (period % 24 < 12)) for period in range(24 * 9)]
    source = write(tmp_path / "demand.csv", rows)
    hourly, ten_minutes = (
        json.loads(door(source, "--score", "--json", "--period-seconds", seconds).stdout)["wape"] for seconds in (3600, 600)
    )
    assert hourly < 0.5 * ten_minutes


HEAD = "tenant,period,tokens\n"
BAD_FILES = [
    ("", "no column 'tenant'"),
    ("client,period,tokens\n", "no column 'tenant': tenant, period, tokens are expected, found are client, period, tokens"),
    ("tenant,period,tokens,tokens\n", "2 columns are called 'tokens'"),
    (HEAD, "no rows"),
    (HEAD + "a,0,5\na,x,5\n", "row 2: period: 'x' is not an integer"),
    (HEAD + "a,0,5\na,,5\n", "row 2: period:"),
    (HEAD + "a,1.5,5\n", "row 1: period: '1.5' is not an integer"),
    (HEAD + "a,99999999999999999999,5\n", "row 1: period: '99999999999999999999' is not an integer"),
    (HEAD + "a,0,many\n", "row 1: tokens: 'many' is not a number"),
    (HEAD + "a,0,5\na,1,-5\na,2,-6\n", "row 2: tokens: '-5' is less than 0, and 1 more"),
    (HEAD + "a,0,inf\n", "row 1: tokens: 'inf' is more than 9,007,199,254,740,992"),
    (HEAD + "a,0,1e16\n", "row 1: tokens: '1e16' is more than"),
    (HEAD + ",0,5\n", "row 1: tenant: is empty"),
    (HEAD + "a,0,5\nb,0,5\na,0,6\n", "tenant 'a' has 2 rows of period 0, one is expected"),
    (HEAD + "a,0\n", "Expected 3 columns, got 2"),
]


@pytest.mark.parametrize(("text", "told"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_bad_file_is_told(door, tmp_path, text, told):
    path = tmp_path / "demand.csv"
    path.write_text(text)
    error = door(path).exception
    assert isinstance(error, BadInput)
    assert told in str(error)
    assert str(error).startswith(str(path))
    assert "\n" not in str(error)


BAD_COLUMNS = [
    ({"tenant": [1.5], "period": [0], "tokens": [5]}, "tenant: text or integers are expected, the column is double"),
    ({"tenant": ["a", None], "period": [0, 0], "tokens": [5, 5]}, "row 2: tenant: is missing"),
    ({"tenant": ["a"], "period": [1.5], "tokens": [5]}, "row 1: period: 1.5 is not an integer"),
    ({"tenant": ["a"], "period": [True], "tokens": [5]}, "period: integers are expected, the column is bool"),
    ({"tenant": ["a"], "period": [0], "tokens": [True]}, "tokens: numbers are expected, the column is bool"),
    ({"tenant": ["a"], "period": [0], "tokens": [2**62]}, f"row 1: tokens: {2**62} is more than"),
    ({"tenant": ["a"], "period": [None], "tokens": [5]}, "row 1: period: is missing"),
]


@pytest.mark.parametrize(("columns", "told"), BAD_COLUMNS, ids=range(len(BAD_COLUMNS)))
def test_a_bad_parquet_file_is_told(door, tmp_path, columns, told):
    parquet.write_table(pa.table(columns), tmp_path / "demand.parquet")
    error = door(tmp_path / "demand.parquet").exception
    assert isinstance(error, BadInput)
    assert told in str(error)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "1"], "--from 1: is for --score"),
        (["--json"], "--json: is for --score"),
        (["--score", "--from", "5"], "--from 5: the last period is 4"),
        (["--output", "out.txt"], "--output out.txt: a name that ends in .csv or .parquet"),
        (["--output", "nowhere/out.csv"], "--output nowhere/out.csv: no directory nowhere"),
        (["--score", "--output", "out.csv"], "--output out.csv: --score writes no forecasts"),
    ],
)
def test_bad_options_are_told(door, tmp_path, arguments, told):
    error = door(write(tmp_path / "demand.csv", ROWS), *arguments).exception
    assert isinstance(error, BadInput)
    assert told in str(error)


@pytest.mark.parametrize(
    ("name", "content"), [("demand.txt", b""), ("missing.csv", None), ("demand.parquet", b"no"), ("demand.csv", b"tenant,\xff")]
)
def test_a_file_that_can_t_be_read_is_told(door, tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert isinstance(door(tmp_path / name).exception, BadInput)


def test_as_a_program(tmp_path):
    """Through the `bourse` command: one line and exit code 2 for what is wrong, and a reader that has enough ends it quietly."""
    program = [sys.executable, "-m", "infra.cli", "forecast"]
    bad = subprocess.run([*program, str(tmp_path / "no.csv")], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)
    source = write(tmp_path / "demand.csv", [(f"tenant-{number}", period, 5) for period in range(50) for number in range(1000)])
    with subprocess.Popen([*program, str(source)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"tenant,period,mean,p50,p90,p99\n"
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() in {0, 1}  # as click ends any command whose reader went
