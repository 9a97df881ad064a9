"""Times, decimals and names at the door: tables of what is taken as what, and what is said of the rest."""

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.units import AVRO, Decimal6, Name, Time

NAME, TIME, DECIMAL = TypeAdapter(Name), TypeAdapter(Time), TypeAdapter(Decimal6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (0, 0),
        (-1, -1),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2024-01-01t00:00:00.1239999z", 1_704_067_200_123),
        ("2024-01-01 02:00:00.5+02:00", 1_704_067_200_500),
        ("2023-12-31T22:30:00-01:30", 1_704_067_200_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),  # a leap second
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
        ("9999-12-31T23:59:59.999-23:59", 253_402_387_139_999),
    ],
)
def test_times(text: object, expected: int) -> None:
    assert TIME.validate_python(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("2024-01-01T00:00:00", "2024-01-01", "20240101T000000Z", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00+24:00"),
        *("0000-01-01T00:00:00Z", "1700000000000", "", "now", "２024-01-01T00:00:00Z", "2024-01-01T00:00:00Z\n"),
        *(1.0, 1e400, True, None, [], {}),
    ],
)
def test_what_is_no_time(text: object) -> None:
    with pytest.raises(ValidationError):
        TIME.validate_python(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (0, 0),
        (2, 2_000_000),
        (2.5, 2_500_000),
        ("2.5", 2_500_000),
        (0.1, 100_000),  # though the float is 0.1000000000000000055
        (1e-6, 1),
        ("0.000001", 1),
        ("1e-6", 1),
        ("2.500000000000", 2_500_000),
        ("9007199254.740992", 2**53),
    ],
)
def test_decimals(text: object, expected: int) -> None:
    assert DECIMAL.validate_python(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.0000001", "six decimal places"),
        ("2.5000000000000000000000000000000000001", "six decimal places"),
        ("1e-999999999", "six decimal places"),
        ("1e999999999", "is more than"),
        (10**4000, "is more than"),
        ("-1e999999999", "is less than 0"),
        (-1, "is less than 0"),
        ("-0.000001", "is less than 0"),
        ("9007199254.740993", "is more than 9007199254.740992"),
        (float("inf"), "is not a finite number"),
        (float("nan"), "is not a finite number"),
        ("nan", "is not a decimal number"),
        ("1_0", "is not a decimal number"),
        (" 1", "is not a decimal number"),
        ("１", "is not a decimal number"),
        ("", "is not a decimal number"),
        (True, "is not a decimal number"),
        (None, "is not a decimal number"),
    ],
)
def test_what_is_no_decimal(text: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DECIMAL.validate_python(text)


def test_in_avro_a_long_is_a_count_of_millionths_and_a_double_a_decimal() -> None:
    assert DECIMAL.validate_python(2_500_000, context=AVRO) == 2_500_000
    assert DECIMAL.validate_python(2.5, context=AVRO) == 2_500_000


@pytest.mark.parametrize("name", ["a", "x" * 128, "é" * 64, "日本", "a b", "a\u00a0b", "🙂", "a/b:c"])
def test_names(name: str) -> None:
    assert NAME.validate_python(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is empty"),
        ("x" * 129, "is 129 bytes long"),
        ("é" * 65, "is 130 bytes long"),
        ("a\nb", r"U\+000A"),
        ("a\x00", r"U\+0000"),
        ("\x7f", r"U\+007F"),
        ("\x85", r"U\+0085"),
        ("a\u2028", r"U\+2028"),
        ("\ud800", r"U\+D800"),
        (5, "string"),
        (b"a", "string"),
        (None, "string"),
    ],
)
def test_what_is_no_name(name: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NAME.validate_python(name)
