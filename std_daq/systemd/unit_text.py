"""The text of a unit: sections, lines, and the quoting of systemd."""

from collections.abc import Iterable, Mapping
from pathlib import Path

Lines = Iterable[tuple[str, str]]


def unit_text(comment: str, sections: Mapping[str, Lines]) -> str:
    """Return the text of a unit.

    Parameters
    ----------
    comment
        The first line, without ``#``.
    sections
        Keys and values of each section, in order; a key may come several times.
    """
    blocks = [f"# {comment}\n"]
    for name, lines in sections.items():
        blocks.append(f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in lines))
    return "\n".join(blocks)


def literal(text: str) -> str:
    """Return a text in which systemd replaces nothing."""
    return text.replace("%", "%%")


def word(text: str | Path) -> str:
    """Return one word of a list, such as a path, in quotes if it needs them."""
    plain = literal(str(text))
    if plain and not set(plain) & set(" \t\n\"'\\;"):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def argument(text: str) -> str:
    """Return one argument of a command line, in which systemd replaces no variable either."""
    return word(text.replace("$", "$$"))


def words(texts: Iterable[str | Path]) -> str:
    """Return a list of words, each once."""
    return " ".join(dict.fromkeys(word(text) for text in texts))
