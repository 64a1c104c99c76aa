"""Report of a run: its numbers, its verdict and the reason for the verdict. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from std_daq.recording.fault_words import sum_of_faults
from std_daq.recording.recorded import Recorded
from std_daq.recording.requests import FaultCount, RunReport, Verdict
from std_writer_agent.counter import MAX_NAMED, ImageCounter
from std_writer_agent.noted_ids import NotedIds
from std_writer_agent.part import PartState, WriterPart
from std_writer_agent.plan import RunPlan


@dataclass(slots=True, kw_only=True)
class Ending:
    """Reasons why a run ends, as far as they are known.

    Attributes
    ----------
    failures
        What went wrong; with at least one failure the verdict is ``failed``.
    is_killed
        Whether a kill has ended the run.
    shortfall
        Why fewer images came than were requested.
    seen
        What the receivers saw that explains why images are missing or not good.
    has_master
        Whether the master file is written.
    """

    failures: list[str] = field(default_factory=list)
    is_killed: bool = False
    shortfall: str = ""
    seen: str = ""
    has_master: bool = False


def make_report(
    plan: RunPlan,
    parts: Sequence[WriterPart],
    counter: ImageCounter,
    ending: Ending,
    found: RunReport | None,
    began_at: datetime,
    ended_at: datetime,
    noted: NotedIds | None = None,
) -> RunReport:
    """Return the report of a run.

    Parameters
    ----------
    plan, parts, counter, ending
        Plan of the run, the parts of its writers, the counter of its images, and why it ends.
    found
        Report that an earlier process of the agent has stored about this run. Without an end time it holds the images
        that never came, which are added. With an end time it holds the result that the earlier process had determined.
        Its numbers are used unless the writers account for more images.
    began_at, ended_at
        Times of the run (UTC).
    noted
        Ids of its images; None: no image came.
    """
    n_written = sum(part.n_in_files for part in parts)
    n_incomplete = sum(part.n_incomplete for part in parts)
    faults = sum_of_faults(part.faults for part in parts)
    n_lost = counter.n_missed + sum(part.n_lost for part in parts)
    lost_ids = sorted(chain(counter.missed_ids(), *(part.known_lost_ids() for part in parts)))
    files = _files(plan, parts, has_master=ending.has_master)
    if found is not None and found.ended_at is None:
        n_lost += found.n_lost
        lost_ids = sorted([*lost_ids, *found.lost_image_ids])
    elif found is not None and found.n_written + found.n_lost >= n_written + n_lost:
        n_written, n_incomplete, n_lost = found.n_written, found.n_incomplete, found.n_lost
        faults = found.faults
        lost_ids, files = list(found.lost_image_ids), files or found.files
    noted = NotedIds.of_report(found) if noted is None or (found is not None and noted.first is None) else noted
    lost = set(lost_ids)
    incomplete_ids = [image_id for image_id in noted.incomplete if image_id not in lost]
    verdict = _verdict(plan, ending, n_written=n_written, n_bad=n_lost + n_incomplete)
    return RunReport(
        request_id=plan.request_id,
        verdict=verdict,
        reason=_reason(plan.recorded, _notes_on_files(plan, parts, found), ending, n_lost=n_lost, faults=faults),
        n_requested=plan.request.n_images,
        n_written=n_written,
        n_incomplete=min(n_incomplete, n_written),
        faults=faults,
        n_lost=n_lost,
        lost_image_ids=tuple(lost_ids[:MAX_NAMED]),
        lost_image_ids_truncated=max(0, len(lost_ids) - MAX_NAMED),
        incomplete_image_ids=tuple(incomplete_ids),
        incomplete_image_ids_truncated=noted.n_more,
        first_image_id=noted.first,
        last_image_id=noted.last,
        files=files,
        started_at=began_at,
        ended_at=ended_at,
    )


def data_files(parts: Sequence[WriterPart]) -> list[str]:
    """Return the data files in the order of their images, which is the order of the numbers in their names."""
    return sorted(chain.from_iterable(part.files for part in parts), key=lambda file: (len(file), file))


def _files(plan: RunPlan, parts: Sequence[WriterPart], *, has_master: bool) -> tuple[str, ...]:
    files = data_files(parts)
    return (plan.output_file, *files) if has_master else tuple(files)


def _verdict(plan: RunPlan, ending: Ending, *, n_written: int, n_bad: int) -> Verdict:
    if ending.failures:
        return Verdict.FAILED
    if ending.is_killed:
        return Verdict.KILLED
    n_requested = plan.request.n_images
    if n_bad or (n_requested is not None and n_written < n_requested):
        return Verdict.INCOMPLETE
    return Verdict.COMPLETE


def _reason(
    recorded: Recorded,
    notes_on_files: Sequence[str],
    ending: Ending,
    *,
    n_lost: int,
    faults: Mapping[str, FaultCount],
) -> str:
    notes = list(ending.failures)
    if ending.is_killed:
        notes.append("killed by request")
    if ending.shortfall:
        notes.append(ending.shortfall)
    if n_lost:
        notes.append(f"{recorded.count(n_lost)} lost")
    if faults:
        notes.append(recorded.describe_faults(faults))
    if ending.seen:
        notes.append(ending.seen)
    notes += notes_on_files
    return "; ".join(notes)


def _notes_on_files(plan: RunPlan, parts: Sequence[WriterPart], found: RunReport | None) -> list[str]:
    notes = [f"a file was not closed: std-daq recover {file}" for file in _unclosed_files(plan, parts, found)]
    n_files = sum(len(part.files) for part in parts)
    if n_files > plan.max_data_files:
        notes.append(
            f"{n_files} data files are more than writer.max_data_files, {plan.max_data_files}: "
            "raise the limit of open files (ulimit -n) of programs that read the master"
        )
    return notes


def _unclosed_files(plan: RunPlan, parts: Sequence[WriterPart], found: RunReport | None) -> list[str]:
    """Return the files that lost writers may have left open.

    If the run was begun by an earlier process, it is not known which writers had images; all lost writers count.
    """
    lost = [part for part in parts if part.state is PartState.LOST]
    return [part.files[-1] if part.files else plan.output_file for part in lost if part.n_sent or found is not None]
