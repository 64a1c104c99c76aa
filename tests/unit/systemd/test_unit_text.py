"""The quoting of systemd."""

import pytest

from std_daq.systemd.unit_text import argument, unit_text, word, words


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/data", "/data"),
        ("/data/run 1", '"/data/run 1"'),
        ("/data/100%", "/data/100%%"),
        ('a"b', '"a\\"b"'),
        ("", '""'),
        ("a;b", '"a;b"'),
    ],
)
def test_word_is_one_word_for_systemd(text: str, written: str) -> None:
    assert word(text) == written


def test_dollar_of_an_argument_is_no_variable() -> None:
    assert argument("$HOME") == "$$HOME"


def test_words_are_named_once() -> None:
    assert words(["/a", "/b", "/a"]) == "/a /b"


def test_key_may_come_several_times() -> None:
    text = unit_text("mine", {"Unit": [("Wants", "a"), ("Wants", "b")], "Install": []})
    assert text == "# mine\n\n[Unit]\nWants=a\nWants=b\n\n[Install]\n"
