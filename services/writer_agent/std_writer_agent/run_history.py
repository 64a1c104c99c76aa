"""RunHistory: what became of the requests in the journal, newest first, for whoever asks at the endpoint.

The journal is read a few rows at a time, and SQLite picks out of each row what is wanted. So the agent, which commits
to the same journal, waits for some milliseconds at most, and a search looks at a bounded number of rows.
"""

import json
import math
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from std_daq.telemetry.documents import Document, Query, QueryRefusedError, number_in
from std_writer_agent.journal import RequestJournal

PATH = "/runs"
MAX_LIMIT = 500
DEFAULT_LIMIT = 50
MAX_SEARCHED = 5000
MAX_WORDS = 8
_ROWS_A_READ = 25
_LAST_PLACE = 2**63 - 1
_MAX_REASON_CHARS = 500

# A report that is no JSON, which only a damaged disk makes, is left out.
_ROWS = """
SELECT request_id, run_id, state, output_file, accepted_at, sender,
  CASE WHEN json_valid(report) THEN report END AS report,
  CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) END AS request
FROM requests
"""
_NUMBERS = ("n_written", "n_incomplete", "n_lost")
_OF_REPORT = ("verdict", "started_at", "ended_at", "n_requested", *_NUMBERS)
_OF_REQUEST = ("n_images", "format", "experiment.user_name", "experiment.sample_name", "experiment.title")
_SUMMARY = ", ".join(
    [
        "request_id, run_id, state, output_file, accepted_at, sender, request IS NOT NULL",
        "json_extract(request, '$.output_file')",
        f"substr(json_extract(report, '$.reason'), 1, {_MAX_REASON_CHARS})",
        "json_array_length(report, '$.files')",
        *(f"json_extract(report, '$.{key}')" for key in _OF_REPORT),
        *(f"json_extract(request, '$.{key}')" for key in _OF_REQUEST),
    ]
)
_SEARCHED = (
    "lower(request_id || ' ' || state || ' ' || output_file || ' ' || sender || ' ' || coalesce(request, '') || ' ' || "
    "coalesce(json_extract(report, '$.verdict'), '') || ' ' || coalesce(json_extract(report, '$.reason'), ''))"
)


class RunHistory:
    """The history of a writer agent.

    Parameters
    ----------
    journal
        The journal of the agent.
    """

    def __init__(self, journal: RequestJournal) -> None:
        self._journal = journal
        self.document = Document(self.answer, is_of_machine=True)

    def answer(self, query: Query) -> dict[str, Any]:
        """Return the runs that a query asks for.

        Parameters
        ----------
        query
            Either ``id``, the id of one request; or ``search``, words that all have to be in a run; ``before``, the
            ``place`` of a run, of which older ones are wanted; and ``limit``, the longest list.

        Raises
        ------
        QueryRefusedError
            The query is wrong, or there is no such run.
        """
        try:
            if "id" in query:
                return self._one(query["id"])
            limit = number_in(query, "limit", DEFAULT_LIMIT, lowest=1, highest=MAX_LIMIT)
            before = number_in(query, "before", _LAST_PLACE, lowest=0, highest=_LAST_PLACE)
            return self._several(query.get("search", ""), before or 0, limit or DEFAULT_LIMIT)
        except sqlite3.Error as error:  # the agent is ending, or the journal is damaged
            raise QueryRefusedError(f"the journal cannot be read: {error}", HTTPStatus.SERVICE_UNAVAILABLE) from None

    def _one(self, request_id: str) -> dict[str, Any]:
        rows = self._journal.read(
            f"SELECT {_SUMMARY}, report, request FROM ({_ROWS} WHERE request_id = ?)",  # noqa: S608
            (request_id,),
        )
        if not rows:
            raise QueryRefusedError(
                f"the journal has no request '{request_id[:100]}'; it keeps them for 90 days", HTTPStatus.NOT_FOUND
            )
        *summary, report_text, request_text = rows[0]
        report = json.loads(report_text) if report_text else {}
        return _summary(summary) | {
            "reason": report.get("reason", ""),
            "request": _request(request_text) if request_text else None,
            "files": report.get("files", []),
            "files_truncated": report.get("files_truncated", 0),
            "faults": report.get("faults", {}),
            "lost_image_ids": report.get("lost_image_ids", ""),
            "lost_image_ids_truncated": report.get("lost_image_ids_truncated", 0),
            "incomplete_image_ids": report.get("incomplete_image_ids", ""),
            "incomplete_image_ids_truncated": report.get("incomplete_image_ids_truncated", 0),
            "first_image_id": report.get("first_image_id"),
            "last_image_id": report.get("last_image_id"),
        }

    def _several(self, search: str, before: int, limit: int) -> dict[str, Any]:
        words = search.split()
        if len(words) > MAX_WORDS or len(search) > 1000:
            raise QueryRefusedError(f"a search has {MAX_WORDS} words at most")
        runs: list[dict[str, Any]] = []
        place: int | None = before
        n_searched = 0
        while place is not None and len(runs) < limit and n_searched < MAX_SEARCHED:
            found, n_read, place = self._read(words, place, min(_ROWS_A_READ, limit - len(runs)))
            runs += found
            n_searched += n_read
        return {"runs": runs, "before": None if place is None else str(place)}

    def _read(self, words: list[str], before: int, n: int) -> tuple[list[dict[str, Any]], int, int | None]:
        """Return the runs among the next ``n`` rows that match, the number of rows, and where to go on, if anywhere."""
        n = _ROWS_A_READ if words else n
        matches = " AND ".join(["1", *(f"instr({_SEARCHED}, lower(?))" for _ in words)])
        newest = f"{_ROWS} WHERE run_id < ? ORDER BY run_id DESC LIMIT {n}"
        rows = self._journal.read(
            f"SELECT {matches}, {_SUMMARY} FROM ({newest}) ORDER BY run_id DESC",  # noqa: S608
            (*words, before),
        )
        found = [_summary(row) for matches, *row in rows if matches]
        return found, len(rows), rows[-1][2] if len(rows) == n else None


def _request(text: str) -> Any:
    """Return a request; None if it has half a surrogate, which no answer could have: such a request was refused."""
    try:
        request = json.loads(text, parse_float=_finite, parse_constant=lambda _: None)
        json.dumps(request, ensure_ascii=False).encode()
    except ValueError:
        return None
    return request


def _summary(row: list[Any]) -> dict[str, Any]:
    values: Iterator[Any] = iter(row)
    request_id, place, state, output_file, accepted_at, sender, is_request = (next(values) for _ in range(7))
    asked_file, reason, n_files = (next(values) for _ in range(3))
    report = dict(zip(_OF_REPORT, values, strict=False))
    request = dict(zip(_OF_REQUEST, values, strict=False))
    asked = request["n_images"] if isinstance(request["n_images"], int) else None  # a refused request holds anything
    n_requested = asked if report["n_requested"] is None else report["n_requested"]
    return {
        "request_id": request_id,
        "place": str(place),  # more digits than a number of JavaScript has
        "state": state,
        "verdict": report["verdict"] if state == "ended" else None,
        "reason": reason or "",
        "output_file": output_file or (asked_file if isinstance(asked_file, str) else ""),
        "accepted_at": datetime.fromtimestamp(accepted_at, UTC).isoformat(),
        "started_at": report["started_at"],
        "ended_at": report["ended_at"],
        "sender": sender,
        "user_name": _text(request["experiment.user_name"]),
        "sample_name": _text(request["experiment.sample_name"]),
        "title": _text(request["experiment.title"]),
        "format": (_text(request["format"]) or "hdf5") if is_request else None,
        "n_requested": n_requested,
        "n_files": n_files or 0,
        **{name: report[name] or 0 for name in _NUMBERS},
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _finite(digits: str) -> float | None:
    """Return a number; None for one that is too large, for which JSON has no word."""
    value = float(digits)
    return value if math.isfinite(value) else None
