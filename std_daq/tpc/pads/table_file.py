"""Tables in text files: one header line, then one line of values a row; any kind of line end."""

from collections.abc import Iterator
from pathlib import Path

from std_daq.config.wrong_input import fault_in_words
from std_daq.errors import ConfigError


def read_table(file: Path, key: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line after the header, counted from 1, and its values.

    Line ends are LF, CRLF or CR alone. Empty lines at the end are ignored.

    Parameters
    ----------
    key
        Key of the configuration that names the file, for errors.

    Raises
    ------
    ConfigError
        The file cannot be read, has no header line or no rows, or an empty line stands between others.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except FileNotFoundError:
        raise ConfigError("there is no such file", key=key, value=str(file), remedy="correct the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(fault_in_words(error), key=key, value=str(file)) from None
    if len(lines) < 2:
        raise ConfigError("has no line after the header", file=file, key=key)
    if _is_numeric(lines[0]):
        raise ConfigError(
            "line 1 holds numbers, but a header belongs there",
            file=file,
            key=key,
            value=lines[0],
            remedy="put a line with the names of the columns before it",
        )
    for number, line in enumerate(lines[1:], start=2):
        yield number, [value.strip() for value in line.split(",")]


def wrong_line(file: Path, key: str, number: int, problem: str, values: list[str], remedy: str) -> ConfigError:
    """Return the error of a line."""
    return ConfigError(f"line {number}: {problem}", file=file, key=key, value=",".join(values), remedy=remedy)


def _is_numeric(line: str) -> bool:
    try:
        [float(value) for value in line.split(",")]
    except ValueError:
        return False
    return True
