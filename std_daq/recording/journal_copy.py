"""Copies of the journal of a writer agent, made beside the agent that writes it, and put back where it has ended.

The agent has its journal for itself: SQLite lets no other process in. A copy needs none of its locks. SQLite writes
what is new into a second file, the WAL, and sometimes moves it from there into the first. Until the WAL begins anew,
with other numbers in its head, it holds every page that was moved. So a copy of the first file, and then of the WAL, is
what the journal was when the WAL was copied, if the head of the WAL is the same before and after. The agent does not
notice.
"""

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

from std_daq.config.paths import runtime_dir
from std_daq.errors import FileFormatError, ResourceError
from std_daq.folders.new_file import NewFile
from std_daq.recording.config import RecordingConfig
from std_daq.recording.requests import RunReport

_N_ATTEMPTS = 100
_PAUSE_S = 0.02
_HEAD_BYTES = 32
_CHUNK_BYTES = 1 << 20
_MODE = 0o600
ASIDE = ".before-restore"


def journal_path(config: RecordingConfig) -> Path:
    """Return the path of the journal of a system."""
    return config.writer.journal or runtime_dir(config) / "writer-journal.sqlite"


def find_report(journal: Path, request_id: str) -> RunReport | None:
    """Return the report that a journal has of a request, whether or not its agent runs; None if it has none.

    Raises
    ------
    FileNotFoundError
        There is no journal.
    FileFormatError
        The file is no journal, or is damaged.
    ResourceError
        The journal changes faster than it can be copied.
    """
    with tempfile.TemporaryDirectory(prefix="std-daq-journal-") as folder:
        copy = Path(folder, "journal")
        back_up_journal(journal, copy)
        with closing(sqlite3.connect(copy)) as connection:
            row = connection.execute("SELECT report FROM requests WHERE request_id = ?", (request_id,)).fetchone()
    if row is None or row[0] is None:
        return None
    try:
        return RunReport.from_wire(row[0])
    except ValueError as error:
        raise FileFormatError(f"{journal}: the report of request {request_id} is damaged: {error}") from None


def back_up_journal(journal: Path, output: Path) -> int:
    """Copy a journal, whether or not its agent runs, and return the number of requests in the copy.

    The copy appears when it is whole, checked and on the disk.

    Raises
    ------
    FileNotFoundError
        There is no journal.
    FileExistsError
        ``output`` exists.
    FileFormatError
        The file is no journal, or is damaged.
    ResourceError
        The journal changes faster than it can be copied.
    OSError
        The copy cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=f".{output.name[:40]}.", dir=output.parent) as folder:
        copy = Path(folder, "journal")
        _copy_both(journal, copy)
        n_requests = _settle(copy, journal)
        with NewFile(output, mode=_MODE) as new:
            _write(new, copy)
            new.appear()
    return n_requests


def restore_journal(backup: Path, journal: Path) -> int:
    """Put a copy in the place of a journal whose agent has ended, and return the number of requests in it.

    The journal that was there keeps its content under the name ``<journal>.before-restore``.

    Raises
    ------
    FileFormatError
        The copy is no journal, or is damaged; nothing is changed.
    ResourceError
        An agent uses the journal; nothing is changed.
    OSError
        The journal cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=".journal.", dir=journal.parent) as folder:
        copy = Path(folder, "journal")
        _copy_both(backup, copy)
        n_requests = _settle(copy, backup)
        _refuse_used(journal)
        with NewFile(journal, mode=_MODE) as new:
            _write(new, copy)
            for suffix in ("-wal", ""):
                with suppress(FileNotFoundError):
                    _beside(journal, suffix).rename(_beside(journal, ASIDE + suffix))
            new.replace()
    return n_requests


def _copy_both(journal: Path, copy: Path) -> None:
    for _ in range(_N_ATTEMPTS):
        before = _state_of(journal)
        _copy_file(journal, copy)
        with suppress(FileNotFoundError):
            _copy_file(_beside(journal, "-wal"), _beside(copy, "-wal"))
        if _state_of(journal) == before:
            return
        _beside(copy, "-wal").unlink(missing_ok=True)
        time.sleep(_PAUSE_S)
    raise ResourceError(f"{journal}: it changed {_N_ATTEMPTS} times while it was copied; try again")


def _state_of(journal: Path) -> object:
    """Return what changes when the WAL begins anew, and without a WAL what changes with the journal."""
    try:
        with _beside(journal, "-wal").open("rb") as wal:
            head = wal.read(_HEAD_BYTES)
            if head:
                return os.fstat(wal.fileno()).st_ino, head
    except FileNotFoundError:
        pass
    found = journal.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _settle(copy: Path, of: Path) -> int:
    """Move what is in the WAL of a copy into the copy, check it, and return the number of requests."""
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=DELETE")
            (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise FileFormatError(f"{of}: the journal is damaged: {found}")
            (n_requests,) = database.execute("SELECT count(*) FROM requests").fetchone()
            return int(n_requests)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}:
            raise ResourceError(f"{copy.parent.parent}: no room for a copy of the journal; make room there") from None
        raise FileFormatError(f"{of}: this is no journal of a writer agent, or it is damaged: {error}") from None


def _refuse_used(journal: Path) -> None:
    if not journal.exists():
        return
    try:
        with closing(
            sqlite3.connect(f"file:{journal.absolute().as_posix()}?mode=rw", uri=True, timeout=0.0)
        ) as database:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise ResourceError(f"{journal}: a writer agent uses this journal; end it first") from None
    except sqlite3.Error:
        pass  # damaged: that is why it is replaced


def _write(new: NewFile, copy: Path) -> None:
    with copy.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            new.write(chunk)
    os.fsync(new.fd)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as file, target.open("wb") as out:
        shutil.copyfileobj(file, out, _CHUNK_BYTES)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
