"""The table of exit codes in the documentation has those of the code, and no others."""

import re
from pathlib import Path

import std_daq
from std_daq.errors import EXIT_DONE, EXIT_FAILED, EXIT_WRONG_CALL
from std_daq.recording.requests import Verdict

PAGE = Path(std_daq.__file__).parents[1] / "docs/reference/command-line.md"
OF_SIGNALS = 128


def rows_of_the_table() -> list[tuple[list[int], str]]:
    """Return the codes of each row, and their meaning without links."""
    section = PAGE.read_text().split("### Exit codes\n")[1].split("\n### ")[0]
    section = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", section)
    rows = re.findall(r"^\| (\d[^|]*) \| ([^|]*) \|", section, re.MULTILINE)
    return [([int(code) for code in re.findall(r"\d+", codes)], meaning) for codes, meaning in rows]


def test_codes_of_the_table_are_those_of_the_code() -> None:
    documented = {code for codes, _ in rows_of_the_table() for code in codes}
    of_runs = {verdict.exit_code for verdict in Verdict}
    assert documented == {EXIT_DONE, EXIT_FAILED, EXIT_WRONG_CALL, OF_SIGNALS} | of_runs


def test_verdicts_are_listed_in_the_order_of_their_codes() -> None:
    verdicts = sorted((verdict for verdict in Verdict if verdict.exit_code), key=lambda verdict: verdict.exit_code)
    (meaning,) = (text for codes, text in rows_of_the_table() if codes == [one.exit_code for one in verdicts])
    assert meaning.rstrip(".").endswith(", ".join(verdicts))
