"""RequestJournal: stores accepted requests on disk, so that a crash neither loses nor repeats a request.

A request goes through the states ``queued``, ``started`` and ``ended``. Each state is committed before anybody else
learns of it:

- ``queued`` before the request is acknowledged to the broker,
- ``started`` before the first image goes to a writer,
- ``ended`` before the end is published. The end counts as unpublished until the broker has confirmed it.

A refused request is committed as ``ended`` at once. A kill is committed before it is acknowledged to the broker.

Another thread may read it, a few rows at a time, for the history of runs; a commit waits that long at most.

The journal also records which work is in hand, so that work that ends the process is not begun for ever.

Where its disk is full, the journal uses up a reserve, which is enough for the runs that were accepted to end. Meanwhile
`has_room` is false, and the agent accepts nothing.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from std_daq.errors import ConfigError, ResourceError
from std_daq.recording.config import RecordingConfig
from std_daq.recording.journal_copy import journal_path
from std_daq.recording.requests import RunReport
from std_daq.telemetry.logs import get_logger
from std_daq.telemetry.printable import printable
from std_writer_agent.journal_reserve import JournalReserve

KEEP_S = 90 * 86400.0

KEPT_KILLS = 1000
KEPT_IN_HAND = 1000
# Who may send requests may send wrong ones, as many as they like.
KEPT_REFUSALS = 10_000
KEPT_BODY_BYTES = 4096

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT PRIMARY KEY,
    run_id INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL,
    body BLOB NOT NULL,
    output_file TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    report TEXT,
    is_published INTEGER NOT NULL DEFAULT 0,
    sender TEXT NOT NULL DEFAULT ''
) STRICT
"""
_SENDER_COLUMN = "ALTER TABLE requests ADD COLUMN sender TEXT NOT NULL DEFAULT ''"
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


class JournalFullError(ResourceError):
    """The disk of the journal is full, and its reserve is used up."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: the disk of the journal is full; make room there, or move writer.journal elsewhere")


def check_journal(config: RecordingConfig) -> None:
    """Check, without changing or creating it, that the journal can be opened; raises ConfigError.

    A journal that is open already is right: its agent runs.
    """
    path = journal_path(config)
    if not path.exists():
        # The runtime directory is made by the first service.
        if config.writer.journal is not None and not os.access(path.parent, os.W_OK | os.X_OK):
            raise _unusable(path, "unable to open database file")
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0.0)) as database:
            database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise _unusable(path, str(error)) from None


def _unusable(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"the journal cannot be opened: {reason}",
        key="writer.journal",
        value=str(path),
        remedy="stop any other writer agent, and check the folder; if both are right, move the file away (its requests "
        "are lost)",
    )


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
    ResourceError
        Its disk is full.
    """

    def __init__(self, path: Path, time_ns: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._time_ns = time_ns
        self._lock = threading.Lock()
        self._reserve = JournalReserve(path.with_name(f"{path.name}.reserve"))
        try:
            self._open(path)
        except JournalFullError:
            self._reserve.give_up()
            self._open(path)
        self._reserve.is_held()

    def _open(self, path: Path) -> None:
        try:
            # isolation_level=None is autocommit: each statement below is a transaction of its own.
            # The lock keeps its threads apart.
            self._database = sqlite3.connect(path, isolation_level=None, timeout=2.0, check_same_thread=False)
            try:
                self._database.execute("PRAGMA locking_mode=EXCLUSIVE")  # one agent only
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=FULL")
                self._database.execute(_SCHEMA)
                self._database.execute(_KILLS_SCHEMA)
                self._database.execute(_IN_HAND_SCHEMA)
                self._check()
                self._add_sender()
                self._forget_old()
            except (sqlite3.Error, ConfigError):
                self._database.close()
                raise
        except sqlite3.Error as error:
            if _is_full(error):
                raise JournalFullError(path) from None
            raise _unusable(path, str(error)) from None

    def _check(self) -> None:
        """Raise ConfigError if the file is damaged or of another version: it would end the agent later, time and again.

        What a flipped bit makes of a text, this does not see; such a request ends as failed.
        """
        self._database.text_factory = lambda text: text.decode(errors="replace")
        (found,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
        columns = {row[1] for row in self._database.execute("PRAGMA table_info(requests)")}
        states = {row[0] for row in self._database.execute("SELECT DISTINCT state FROM requests")} if columns else set()
        if found != "ok":
            problem = f"it is damaged: {' '.join(found.split())}"
        elif not {*_COLUMNS.split(", "), "is_published"} <= columns or not states <= set(RequestState):
            problem = "it is of another version, or damaged"
        else:
            return
        raise ConfigError(
            f"the journal cannot be used: {problem}",
            key="writer.journal",
            value=str(self._path),
            remedy="take it from a copy, or move it away: requests that were accepted and have not ended are lost then",
        )

    def _add_sender(self) -> None:
        """Add the column of the sender to a journal of a version that did not store it."""
        if "sender" not in {row[1] for row in self._database.execute("PRAGMA table_info(requests)")}:
            self._database.execute(_SENDER_COLUMN)

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._path

    @property
    def has_room(self) -> bool:
        """Whether there is room for requests; false from the moment that the disk is full until there is room again."""
        return self._reserve.is_held()

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Execute a statement that writes, and return its rows; where the disk is full, the reserve makes room for it.

        Raises
        ------
        JournalFullError
            The reserve is used up as well.
        """
        try:
            return self.read(statement, values)
        except sqlite3.Error as error:
            if not _is_full(error):
                raise
        if self._reserve.give_up():
            get_logger().error("journal_disk_full", journal=str(self._path), remedy="make room; requests are refused")
        try:
            return self.read(statement, values)
        except sqlite3.Error as error:
            raise (JournalFullError(self._path) if _is_full(error) else error) from None

    def read(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that a query finds; another thread may call it, and the query should be a short one."""
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def add(self, request_id: str, body: bytes, output_file: str, sender: str = "") -> JournalledRequest:
        """Store an accepted request; ``sender`` is what its sender says of itself."""
        return self._insert(request_id, body, output_file, RequestState.QUEUED, None, sender)

    def add_refused(self, request_id: str, body: bytes, report: RunReport, sender: str = "") -> JournalledRequest:
        """Store a refused request, with its final report; a long body is not kept, and only the newest are."""
        self._execute(
            "DELETE FROM requests WHERE output_file = '' AND is_published AND run_id <= "
            "(SELECT run_id FROM requests WHERE output_file = '' ORDER BY run_id DESC LIMIT 1 OFFSET ?)",
            (KEPT_REFUSALS - 1,),
        )
        body = body if len(body) <= KEPT_BODY_BYTES else b""
        return self._insert(request_id, body, "", RequestState.ENDED, report, sender)

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
        self._execute("INSERT INTO kills (request_id) VALUES (?)", (request_id,))
        self._execute("DELETE FROM kills WHERE rowid <= (SELECT max(rowid) FROM kills) - ?", (KEPT_KILLS,))

    def is_killed(self, request_id: str) -> bool:
        """Return whether a kill of the request is stored."""
        return bool(self.read("SELECT 1 FROM kills WHERE request_id = ?", (request_id,)))

    def take_in_hand(self, name: str) -> int:
        """Record that a piece of work begins; return how often it began before and the process ended during it."""
        ((n_times,),) = self._execute(
            "INSERT INTO in_hand (name, n_times) VALUES (?, 1) "
            "ON CONFLICT (name) DO UPDATE SET n_times = n_times + 1 RETURNING n_times",
            (name,),
        )
        return int(n_times) - 1

    def put_down(self, name: str) -> None:
        """Record that a piece of work is done."""
        self._execute("DELETE FROM in_hand WHERE name = ?", (name,))

    def unfinished(self) -> list[JournalledRequest]:
        """Return the requests that have not ended, oldest first."""
        return self._select("state != ?", RequestState.ENDED)

    def unpublished(self) -> list[JournalledRequest]:
        """Return the ended requests whose end the broker has not confirmed, oldest first."""
        return self._select("state = ? AND NOT is_published", RequestState.ENDED)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _insert(
        self,
        request_id: str,
        body: bytes,
        output_file: str,
        state: RequestState,
        report: RunReport | None,
        sender: str,
    ) -> JournalledRequest:
        now_ns = self._time_ns()
        # The time serves as run id: it is unique for the writers even if the journal is lost.
        ((last,),) = self.read("SELECT coalesce(max(run_id), 0) FROM requests")
        run_id = max(now_ns, last + 1)
        text = None if report is None else report.to_wire()
        values = (request_id, run_id, state, body, output_file, now_ns / 1e9, text, printable(sender))
        self._execute(f"INSERT INTO requests ({_COLUMNS}, sender) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
        return JournalledRequest(request_id, run_id, state, body, output_file, now_ns / 1e9, report)

    def _update(self, request_id: str, changes: str, *values: object) -> None:
        self._execute(f"UPDATE requests SET {changes} WHERE request_id = ?", (*values, request_id))  # noqa: S608

    def _select(self, condition: str, *values: object) -> list[JournalledRequest]:
        query = f"SELECT {_COLUMNS} FROM requests WHERE {condition} ORDER BY run_id"  # noqa: S608
        return [_entry_of_row(*row) for row in self.read(query, values)]

    def _forget_old(self) -> None:
        oldest = self._time_ns() / 1e9 - KEEP_S
        self._database.execute("DELETE FROM requests WHERE is_published AND accepted_at < ?", (oldest,))
        self._database.execute(
            "DELETE FROM in_hand WHERE rowid <= (SELECT max(rowid) FROM in_hand) - ?", (KEPT_IN_HAND,)
        )


def _is_full(error: sqlite3.Error) -> bool:
    # A quota that is used up is an error of writing for SQLite. Errors of the Python module itself have no code.
    return getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}


def _entry_of_row(
    request_id: str, run_id: int, state: str, body: bytes, output_file: str, accepted_at: float, report: str | None
) -> JournalledRequest:
    parsed = None
    if report is not None:
        with suppress(ValueError):
            parsed = RunReport.from_wire(report)
    return JournalledRequest(request_id, run_id, RequestState(state), body, output_file, accepted_at, parsed)
