import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.live import Live
from rich.table import Table
from rich.text import Text

from std_daq.telemetry.logs import configure_logs, get_logger
from std_daq.telemetry.printable import PrintableStream, printable, printable_lines
from std_daq.telemetry.terminal_console import TerminalConsole

HOSTILE = {
    "title of the window": "\x1b]0;all is well\x07",
    "a deleted line": "\x1b[1A\x1b[2Krequest_success",
    "written over": "failed\rsuccess",
    "an 8-bit control sequence": "\x9b2J",
    "backwards": "\u202eko\u2066",
    "another line": "one\u2028two\u2029three\x85four",
    "half a character": "\udc80",
    "deleted": "x\b\b\x7f",
}
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def test_usual_text_is_not_changed() -> None:
    for text in ("", "Lysozym, Zürich", "光子 µ ∞ \\x1b 'quoted'"):
        assert printable(text) == text
    assert printable_lines("a\tb\nc") == "a\tb\nc"


def test_what_is_not_printable_is_shown_as_python_writes_it() -> None:
    assert printable("a\x1b[2J\nb\u202e\udc80") == "a\\x1b[2J\\nb\\u202e\\udc80"


@given(st.text(st.characters()))
def test_no_text_controls_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@hostile
def test_text_log_shows_no_control_characters_wherever_they_are(text: str) -> None:
    file = io.StringIO()
    configure_logs("info", json=False, file=file)
    get_logger().info(
        f"event{text}", value=text, values=[text, {text: (text,)}], error=ValueError(text), **{f"key{text}": 1}
    )
    line = without_colours(file.getvalue())
    assert not CONTROLS.search(line)
    assert line.count("\n") == 1


@hostile
def test_json_log_shows_no_control_characters(text: str) -> None:
    file = io.StringIO()
    configure_logs("info", json=True, file=file)
    get_logger().info("event", value=text)
    assert file.getvalue().isascii()
    assert not CONTROLS.search(file.getvalue())
    assert json.loads(file.getvalue())["value"] == text


def test_traceback_in_a_log_keeps_its_lines_and_no_escape() -> None:
    file = io.StringIO()
    configure_logs("info", json=False, file=file)
    try:
        raise ValueError("\x1b[2J gone")
    except ValueError:
        get_logger().exception("unexpected_error")
    text = without_colours(file.getvalue())
    assert "\\x1b[2J gone" in text
    assert text.count("\n") > 3
    assert not CONTROLS.search(text)


@hostile
def test_stream_writes_no_control_characters(text: str) -> None:
    behind = io.StringIO()
    print(text, "\tend", file=PrintableStream(behind))  # type: ignore[arg-type]  # print needs no more than `write`
    assert behind.getvalue() == f"{printable_lines(text)} \tend\n"
    assert not CONTROLS.search(behind.getvalue())


@hostile
@pytest.mark.parametrize("place", ["text", "cell", "live"])
def test_console_shows_no_control_characters(text: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stdout", PrintableStream(file))
    console = TerminalConsole(width=60, force_terminal=True)
    renderable: Any = Text(text, "red")
    if place == "cell":
        renderable = Table("heading")
        renderable.add_row(text)
    if place == "live":
        with Live(Text(text), console=console, auto_refresh=False):
            pass
    else:
        console.print(renderable)
    shown = without_colours(file.getvalue())
    assert not CONTROLS.search(shown.replace("\r", "")), shown


def test_markup_and_emoji_in_a_text_from_outside_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stdout", file)
    table = Table(box=None, show_header=False)
    table.add_row("[link=http://evil]x[/link] [/nothing] :smile:")
    TerminalConsole(width=80).print(table)
    assert file.getvalue().strip() == "[link=http://evil]x[/link] [/nothing] :smile:"


def without_colours(text: str) -> str:
    """Return a text without the sequences for colours and cursor that the renderer itself has written."""
    return re.sub(r"\x1b\[[0-9;]*[mK]|\x1b\[\?25[lh]", "", text)
