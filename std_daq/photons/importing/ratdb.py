"""RAT's tables: text and dumps, and what they tell of the PMTs."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.report import ImportReport

_TOKEN = re.compile(
    r"""(?:\s|//[^\n]*|/\*.*?\*/)*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
        | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[df]?(?![\w.])
        | (?P<word>[A-Za-z_]\w*)
        | (?P<sign>[{}\[\],:])
        | (?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None}
_MAX_DEPTH = 50

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PmtArray:
    """PMTs that RAT places by a table.

    Parameters
    ----------
    index
        Its name: its PMTs are placed as ``<index>_pmtenv_<id>``.
    positions
        Of its rows, in mm, in the world, shape (n, 3).
    types
        Shape (n,).
    efficiencies
        Factors on the efficiency of the photocathode, shape (n,).
    """

    index: str
    positions: NDArray[np.float64]
    types: NDArray[np.int64]
    efficiencies: NDArray[np.float64]


def read_tables(paths: list[Path], report: ImportReport) -> dict[tuple[str, str], Table]:
    """Read files of tables; planes of one table are merged field by field: default, then run, then user.

    Raises
    ------
    DetectorImportError
        If a file is no table.
    OSError
        If it cannot be read.
    """
    planes: list[tuple[int, Table]] = []
    for path in paths:
        try:
            planes += [(_rank(table), table) for table in _Parser(path.read_text(encoding="utf-8")).tables()]
        except (ValueError, KeyError) as error:  # UnicodeDecodeError is a ValueError
            raise DetectorImportError(f"not a RATDB file: {error}", file=path) from error
    merged: dict[tuple[str, str], Table] = {}
    for rank, table in sorted(planes, key=lambda plane: plane[0]):
        identity = (str(table["name"]), str(table.get("index", "")))
        if rank == 1:
            report.note(f"table {identity[0]}[{identity[1]}]", f"the fields of runs {_run_range(table)} are used")
        merged.setdefault(identity, {}).update(table)
    return merged


def pmt_arrays(tables: dict[tuple[str, str], Table]) -> list[PmtArray]:
    """Return the arrays of PMTs.

    Raises
    ------
    DetectorImportError
        If a table is missing or its columns differ in length.
    """
    return [
        _pmt_array(index, table, tables)
        for (name, index), table in tables.items()
        if name == "GEO" and table.get("type") == "pmtarray" and table.get("enable", 1)
    ]


def _pmt_array(index: str, geo: Table, tables: dict[tuple[str, str], Table]) -> PmtArray:
    where = f"GEO[{index}]"
    rows = _table(tables, str(_field(geo, "pos_table", where)), "", where)
    columns = [_column(rows, axis, None, where) for axis in "xyz"]
    n = len(columns[0])
    types, efficiencies = (
        _column(rows, "type", np.full(n, -1), where),
        _column(rows, "efficiency_corr", np.ones(n), where),
    )
    if {len(one) for one in (*columns, types, efficiencies)} != {n}:
        raise DetectorImportError(f"columns of '{geo['pos_table']}' differ in length", file=where)
    first, last = int(geo.get("start_idx", 0)), int(geo.get("end_idx", n - 1))
    if not 0 <= first <= last < n:
        raise DetectorImportError(f"rows {first} to {last} are not in its table of {n} rows", file=where)
    part = slice(first, last + 1)
    factor = 1.0
    if "pmt_model" in geo:
        factor = float(_table(tables, "PMT", str(geo["pmt_model"]), where).get("efficiency_correction", 1.0))
    return PmtArray(
        index, np.column_stack(columns)[part], types[part].astype(np.int64), efficiencies[part].astype(float) * factor
    )


def _table(tables: dict[tuple[str, str], Table], name: str, index: str, where: str) -> Table:
    if (name, index) not in tables:
        raise DetectorImportError(
            f"table {name}[{index}] is not in the files", file=where, remedy="give the file that has it with --ratdb"
        )
    return tables[name, index]


def _field(table: Table, key: str, where: str) -> Any:
    if key not in table:
        raise DetectorImportError(f"it has no field '{key}'", file=where)
    return table[key]


def _column(table: Table, key: str, default: NDArray[Any] | None, where: str) -> NDArray[np.float64]:
    if default is not None and key not in table:
        return default
    try:
        column = np.asarray(_field(table, key, where), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DetectorImportError(f"field '{key}' of '{table['name']}' is no list of numbers", file=where) from error
    if column.ndim != 1 or not np.isfinite(column).all():
        raise DetectorImportError(f"field '{key}' of '{table['name']}' is no list of finite numbers", file=where)
    return column


def _run_range(table: Table) -> list[int]:
    if "run_range" in table:
        return [int(one) for one in table["run_range"]]
    return [int(table.get(key, [0])[0]) for key in ("valid_begin", "valid_end")]


def _rank(table: Table) -> int:
    """Return 0 for a default, 1 for runs, 2 for the user's own values."""
    begin = _run_range(table)[0]
    return 0 if begin == 0 else 1 if begin > 0 else 2


class _Parser:
    """JSON with comments, keys without quotes, commas at ends; tables one after the other, or in a list."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._advance()

    def tables(self) -> list[Table]:
        found: list[Any] = []
        while self._kind != "end":
            value = self._value()
            found += value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) and "name" in one for one in found):
            raise ValueError("something in it is no table with a name")
        return found

    def _advance(self) -> str:
        """Return the token that is current, and go on to the next."""
        before = getattr(self, "_text_now", "")
        match = _TOKEN.match(self._text, self._position)
        if match is None or match.lastgroup is None:
            line = self._text.count("\n", 0, self._position) + 1
            raise ValueError(f"line {line} cannot be read")
        self._kind, self._text_now = match.lastgroup, match[match.lastgroup]
        self._position = match.end()
        return before

    def _value(self) -> Any:
        kind, text = self._kind, self._advance()
        if kind == "string":
            return json.loads(text, strict=False)
        if kind == "number":
            return float(text) if any(one in text for one in ".eE") else int(text)
        if kind == "word" and text in _WORDS:
            return _WORDS[text]
        if text not in {"{", "["}:
            line = self._text.count("\n", 0, self._position) + 1
            raise ValueError(f"line {line}: '{text}' is not expected here")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_DEPTH} lists within each other")
        value = self._fields() if text == "{" else self._items()
        self._depth -= 1
        return value

    def _fields(self) -> Table:
        table: Table = {}
        while self._text_now != "}":
            kind, text = self._kind, self._advance()
            if kind not in {"string", "word"} or self._advance() != ":":
                raise ValueError(f"line {self._text.count(chr(10), 0, self._position) + 1}: no field")
            table[json.loads(text) if kind == "string" else text] = self._value()
            self._separator("}")
        self._advance()
        return table

    def _items(self) -> list[Any]:
        items = []
        while self._text_now != "]":
            items.append(self._value())
            self._separator("]")
        self._advance()
        return items

    def _separator(self, end: str) -> None:
        if self._text_now == ",":
            self._advance()
        elif self._text_now != end:
            raise ValueError(f"line {self._text.count(chr(10), 0, self._position) + 1}: a comma is missing")
