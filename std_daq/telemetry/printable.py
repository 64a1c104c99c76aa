r"""Printable text: what comes from outside cannot control the terminal on which it is shown.

A terminal obeys escape sequences: text such as ``\x1b]0;...`` changes the title of its window, and other sequences
delete lines or write to the clipboard. So a control character is shown as Python writes it, ``\x1b``. The same holds
for invisible characters, such as those that change the direction of text.
"""

from typing import Any, TextIO

_LAYOUT = "\n\t"


def printable(text: str, keep: str = "") -> str:
    r"""Return a text in which every character that is not printable is replaced by its escape, such as ``\x1b``.

    Parameters
    ----------
    text
        Any text; it may have lone surrogates, as the names of files have that are not UTF-8.
    keep
        Characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode("ascii") for one in text
    )


def printable_lines(text: str) -> str:
    """Return a text of several lines as `printable` does; line ends and tabs stay."""
    return printable(text, _LAYOUT)


def printable_value(value: object) -> object:
    """Return a value of a log line with printable texts, also within lists and dictionaries."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable_value(key): printable_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [printable_value(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else printable(str(value))


class PrintableStream:
    """A text stream that makes everything printable before it writes it.

    A character that its encoding lacks is shown as Python writes it, too.

    Parameters
    ----------
    stream
        Where the text goes.

    Attributes
    ----------
    raw
        The stream itself, for text that is to control the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.raw = stream

    def write(self, text: str) -> int:
        """Write a text; returns its length."""
        shown = printable_lines(text)
        encoding = getattr(self.raw, "encoding", None) or "utf-8"
        self.raw.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def raw_stream(stream: TextIO) -> TextIO:
    """Return the stream behind a `PrintableStream`; any other stream is returned itself."""
    return stream.raw if isinstance(stream, PrintableStream) else stream
