"""A result survives its document, is compared by the names of its figures, and is printed as a table."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from std_benchmarks.figure import Figure, Target
from std_benchmarks.result import Result
from std_benchmarks.tables import comparisons, number, print_comparison, print_result, to_markdown
from std_daq.errors import ConfigError

MACHINE = {"processor": "P", "cores": 2, "memory_gb": 8.0, "kernel": "Linux", "file_system": "ext4", "python": "3"}


def result(ours: list[float], machine: dict[str, object] | None = None) -> Result:
    copied = Figure("copy", "GB/s", ours, "memcpy", [10.0] * len(ours), Target.at_least(0.9), {"n_bytes": 5})
    return Result(
        MACHINE | (machine or {}),
        "2026-01-01T00:00:00+00:00",
        {"memory": [copied, Figure("pages", "1/s", [7.0])], "file": []},
        {"file": "no space"},
        {"memory": 1.0, "file": 2.0},
    )


def printed(width: int = 200) -> tuple[Console, StringIO]:
    text = StringIO()
    return Console(file=text, width=width), text


def test_document_holds_all_of_a_result(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    first = result([9.0, 10.0, 12.0])
    file.write_text(json.dumps(first.to_json()))
    assert Result.read(file) == first
    document = json.loads(file.read_text())["benchmarks"]
    assert document["memory"]["figures"][0]["target"] == {"side": "at least", "bound": 0.9, "is_met": True}
    assert document["file"]["failure"] == "no space"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', '{"format": "std-daq-bench-1"}'])
def test_what_is_no_result_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bench.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bench\.json"):
        Result.read(file)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Result.read(tmp_path / "none.json")


def test_figures_with_a_reference_are_compared_by_their_ratio() -> None:
    assert list(comparisons(result([5.0]), result([10.0]))) == [
        ("copy", "1 x", "0.5 x", "0.50"),
        ("pages", "7 1/s", "7 1/s", "1.00"),
    ]


def test_comparison_says_where_the_machines_differ() -> None:
    console, text = printed()
    print_comparison(result([5.0], {"kernel": "Linux 7"}), result([10.0]), console)
    assert "kernel: Linux then, Linux 7 now" in text.getvalue()


def test_table_names_figures_verdicts_and_failures() -> None:
    console, text = printed()
    print_result(result([5.0, 7.0, 6.0]), console)
    assert "0.6 (0.5 to 0.7)" in text.getvalue()
    assert "missed" in text.getvalue()
    assert "file failed: no space" in text.getvalue()


def test_markdown_has_a_row_for_each_figure() -> None:
    lines = to_markdown(result([9.0])).splitlines()
    assert lines[-2] == "| copy | 9 GB/s | 10 (memcpy) | 0.9 | ≥ 0.9 | met |"
    assert lines[-1] == "| pages | 7 1/s |  |  |  |  |"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.12345, "0.123"), (99.94, "99.9"), (123456, "123,000"), (0.00001234, "1.23e-05"), (999.9, "1,000")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
