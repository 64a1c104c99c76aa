"""RequestJournal: stores accepted requests on disk, so that a crash neither loses nor repeats a request.

A request goes through the states ``queued``, ``started`` and ``ended``. Each state is committed before anybody else
learns of it:

- ``queued`` before the request is acknowledged to the broker,
- ``started`` before the first image goes to a writer,
- ``ended`` before the end is published. The end counts as unpublished until the broker has confirmed it.

A refused request is committed as ``ended`` at once. A kill is committed before it is acknowledged to the broker.

The journal also records which work is in hand, so that work that ends the process is not begun for ever.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.recording.requests import RunReport

KEEP_S = 90 * 86400.0

KEPT_KILLS = 1000
KEPT_IN_HAND = 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT PRIMARY KEY,
    run_id INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL,
    body BLOB NOT NULL,
    output_file TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    report TEXT,
    is_published INTEGER NOT NULL DEFAULT 0
) STRICT
"""
_KILLS_SCHEMA = "CREATE TABLE IF NOT EXISTS kills (request_id TEXT NOT NULL) STRICT"
_IN_HAND_SCHEMA = "CREATE TABLE IF NOT EXISTS in_hand (name TEXT PRIMARY KEY, n_times INTEGER NOT NULL) STRICT"
_COLUMNS = "request_id, run_id, state, body, output_file, accepted_at, report"


class RequestState(StrEnum):
    """State of a request."""

    QUEUED = "queued"
    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class JournalledRequest:
    """One request in the journal.

    Attributes
    ----------
    request_id, body
        Id and body of the message, unchanged.
    run_id
        Number of the run between the agent and the writers.
    state
        State of the request.
    output_file
        Path of the file, as admission has chosen it; empty for a refused request.
    accepted_at
        Time when the request was added, in seconds since 1970.
    report
        Final report of a request that has ended. For a started request, the last report that was stored: without an
        end time it holds the images that never came; with an end time, the result before the files were closed.
    """

    request_id: str
    run_id: int
    state: RequestState
    body: bytes
    output_file: str
    accepted_at: float
    report: RunReport | None


class RequestJournal:
    """The journal in a SQLite file; when a method returns, its change is on disk.

    Parameters
    ----------
    path
        Path of the file, which is created if it does not exist.
    time_ns
        Returns the time in nanoseconds since 1970.

    Raises
    ------
    ConfigError
        The file cannot be opened, or is not a journal.
    """

    def __init__(self, path: Path, time_ns: Callable[[], int] = time.time_ns) -> None:
        self._time_ns = time_ns
        try:
            # isolation_level=None is autocommit: each statement below is a transaction of its own.
            self._database = sqlite3.connect(path, isolation_level=None, timeout=2.0)
            try:
                self._database.execute("PRAGMA locking_mode=EXCLUSIVE")  # one agent only
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=FULL")
                self._database.execute(_SCHEMA)
                self._database.execute(_KILLS_SCHEMA)
                self._database.execute(_IN_HAND_SCHEMA)
                self._forget_old()
            except sqlite3.Error:
                self._database.close()
                raise
        except sqlite3.Error as error:
            remedy = "stop any other writer agent; if there is none, move the file away (its requests are lost)"
            raise ConfigError(
                f"the journal cannot be opened: {error}", key="writer.journal", value=str(path), remedy=remedy
            ) from None

    def add(self, request_id: str, body: bytes, output_file: str) -> JournalledRequest:
        """Store an accepted request."""
        return self._insert(request_id, body, output_file, RequestState.QUEUED, None)

    def add_refused(self, request_id: str, body: bytes, report: RunReport) -> JournalledRequest:
        """Store a refused request, with its final report."""
        return self._insert(request_id, body, "", RequestState.ENDED, report)

    def find(self, request_id: str) -> JournalledRequest | None:
        """Return a request; None if the journal does not know it."""
        found = self._select("request_id = ?", request_id)
        return found[0] if found else None

    def start(self, request_id: str) -> None:
        """Record that the run of a request has started."""
        self._update(request_id, "state = ?", RequestState.STARTED)

    def keep_report(self, request_id: str, report: RunReport) -> None:
        """Store what is known about a run that has not ended."""
        self._update(request_id, "report = ?", report.to_wire())

    def end(self, request_id: str, report: RunReport) -> None:
        """Record that a request has ended, with its final report."""
        self._update(request_id, "state = ?, report = ?", RequestState.ENDED, report.to_wire())

    def mark_published(self, request_id: str) -> None:
        """Record that the broker has confirmed the end of a request."""
        self._update(request_id, "is_published = 1")

    def add_kill(self, request_id: str) -> None:
        """Store the kill of a request, also if the request is still to come; only the newest kills are kept."""
        self._database.execute("INSERT INTO kills (request_id) VALUES (?)", (request_id,))
        self._database.execute("DELETE FROM kills WHERE rowid <= (SELECT max(rowid) FROM kills) - ?", (KEPT_KILLS,))

    def is_killed(self, request_id: str) -> bool:
        """Return whether a kill of the request is stored."""
        found = self._database.execute("SELECT 1 FROM kills WHERE request_id = ?", (request_id,))
        return found.fetchone() is not None

    def take_in_hand(self, name: str) -> int:
        """Record that a piece of work begins; return how often it began before and the process ended during it."""
        (n_times,) = self._database.execute(
            "INSERT INTO in_hand (name, n_times) VALUES (?, 1) "
            "ON CONFLICT (name) DO UPDATE SET n_times = n_times + 1 RETURNING n_times",
            (name,),
        ).fetchone()
        return int(n_times) - 1

    def put_down(self, name: str) -> None:
        """Record that a piece of work is done."""
        self._database.execute("DELETE FROM in_hand WHERE name = ?", (name,))

    def unfinished(self) -> list[JournalledRequest]:
        """Return the requests that have not ended, oldest first."""
        return self._select("state != ?", RequestState.ENDED)

    def unpublished(self) -> list[JournalledRequest]:
        """Return the ended requests whose end the broker has not confirmed, oldest first."""
        return self._select("state = ? AND NOT is_published", RequestState.ENDED)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _insert(
        self, request_id: str, body: bytes, output_file: str, state: RequestState, report: RunReport | None
    ) -> JournalledRequest:
        now_ns = self._time_ns()
        # The time serves as run id: it is unique for the writers even if the journal is lost.
        (last,) = self._database.execute("SELECT coalesce(max(run_id), 0) FROM requests").fetchone()
        run_id = max(now_ns, last + 1)
        text = None if report is None else report.to_wire()
        values = (request_id, run_id, state, body, output_file, now_ns / 1e9, text)
        self._database.execute(f"INSERT INTO requests ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
        return JournalledRequest(request_id, run_id, state, body, output_file, now_ns / 1e9, report)

    def _update(self, request_id: str, changes: str, *values: object) -> None:
        self._database.execute(f"UPDATE requests SET {changes} WHERE request_id = ?", (*values, request_id))  # noqa: S608

    def _select(self, condition: str, *values: object) -> list[JournalledRequest]:
        query = f"SELECT {_COLUMNS} FROM requests WHERE {condition} ORDER BY run_id"  # noqa: S608
        return [_entry_of_row(*row) for row in self._database.execute(query, values)]

    def _forget_old(self) -> None:
        oldest = self._time_ns() / 1e9 - KEEP_S
        self._database.execute("DELETE FROM requests WHERE is_published AND accepted_at < ?", (oldest,))
        self._database.execute(
            "DELETE FROM in_hand WHERE rowid <= (SELECT max(rowid) FROM in_hand) - ?", (KEPT_IN_HAND,)
        )


def _entry_of_row(
    request_id: str, run_id: int, state: str, body: bytes, output_file: str, accepted_at: float, report: str | None
) -> JournalledRequest:
    parsed = None
    if report is not None:
        with suppress(ValueError):
            parsed = RunReport.from_wire(report)
    return JournalledRequest(request_id, run_id, RequestState(state), body, output_file, accepted_at, parsed)
