"""RunBook: the runs that statuses tell of, with their rates and the time that they will still take. Pure."""

import json
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from std_daq.recording.requests import Action, StatusMessage, Verdict, WriteRequest
from std_web.runs.run_view import RunDetails, RunView

MAX_RUNS = 500
_RATE_S = 10.0
_VERDICTS = {Action.SUCCESS: Verdict.COMPLETE, Action.FAIL: Verdict.FAILED, Action.KILLED: Verdict.KILLED}
_COUNTS = ("n_written", "n_lost")


class RunBook:
    """The newest runs; ended ones give way first when there are too many.

    Parameters
    ----------
    tag
        Tag of the writer agent; statuses of others are not of this detector.
    """

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._runs: OrderedDict[str, RunDetails] = OrderedDict()
        self._counts: dict[str, deque[tuple[float, int]]] = {}

    def find(self, request_id: str) -> RunDetails | None:
        """Return a run; None if nothing was heard of it."""
        return self._runs.get(request_id)

    def newest(self) -> list[RunDetails]:
        """Return the runs, newest first."""
        return list(reversed(self._runs.values()))

    def unfinished(self) -> list[RunDetails]:
        """Return the runs that have not ended, oldest first."""
        return [run for run in self._runs.values() if run.state != "ended"]

    def add_sent(self, request_id: str, request: WriteRequest) -> RunDetails:
        """Note a request that the broker has taken; a status may have come before."""
        run = self._runs.get(request_id)
        if run is None:
            run = RunDetails(
                request_id=request_id,
                state="sent",
                output_file=request.output_file,
                n_requested=request.n_images,
                request=request.model_dump(mode="json", exclude_defaults=True),
            )
            self._put(run)
        return run

    def feed(self, status: StatusMessage, now: float) -> RunDetails | None:
        """Take a status, and return its run as it is then; None if it tells nothing of a run of this detector.

        Parameters
        ----------
        status
            The status.
        now
            Monotonic time in seconds.
        """
        if status.source != self.tag or status.action is Action.UNKNOWN or not status.request_id.isprintable():
            return None
        known = self._runs.get(status.request_id)
        if known is not None and known.state == "ended":
            return None
        run = known or _of_body(status)
        told: dict[str, Any] = {"message": status.message}
        match status.action:
            case Action.ACCEPTED:
                told |= {"state": "queued", "accepted_at": run.accepted_at or _now()}
                told["output_file"] = str(status.details.get("output_file", run.output_file))
            case Action.START:
                told |= {"state": "started", "started_at": run.started_at or _now()}
            case Action.PROGRESS:
                told |= self._progress(run, status.details, now)
            case _:
                told |= _end(status)
        run = run.model_copy(update=told)
        self._put(run)
        if run.state == "ended":
            self._counts.pop(run.request_id, None)
        return run

    def take_history(self, runs: Iterable[Mapping[str, Any]]) -> list[RunDetails]:
        """Take what the agent's journal says, oldest first; return the runs that it says something new about.

        Of runs that nothing was heard of, only those that have not ended are taken.
        """
        changed = []
        for told in runs:
            known = self._runs.get(str(told["request_id"]))
            is_end = told["state"] == "ended"
            if (known is None and is_end) or (known is not None and (known.state == "ended" or not is_end)):
                continue
            run = RunDetails.model_validate({**(known.model_dump() if known else {}), **told})
            self._put(run.model_copy(update={"images_per_second": None, "seconds_left": None}))
            changed.append(self._runs[run.request_id])
        return changed

    def _put(self, run: RunDetails) -> None:
        self._runs[run.request_id] = run
        if len(self._runs) > MAX_RUNS:
            oldest = next(
                (one.request_id for one in self._runs.values() if one.state == "ended"), next(iter(self._runs))
            )
            del self._runs[oldest]
            self._counts.pop(oldest, None)

    def _progress(self, run: RunDetails, details: Mapping[str, Any], now: float) -> dict[str, Any]:
        numbers = {name: details[name] for name in _COUNTS if isinstance(details.get(name), int)}
        if "n_written" not in numbers:
            return {}
        counts = self._counts.setdefault(run.request_id, deque())
        counts.append((now, numbers["n_written"] + numbers.get("n_lost", 0)))
        while counts[-1][0] - counts[0][0] > _RATE_S:
            counts.popleft()
        (since, before), (_, done) = counts[0], counts[-1]
        rate = (done - before) / (now - since) if now > since else None
        n_requested = run.n_requested
        left = n_requested - done if isinstance(n_requested, int) else None
        return {
            **numbers,
            "state": "started",
            "images_per_second": rate,
            "seconds_left": max(left, 0) / rate if rate and left is not None else None,
        }


def _of_body(status: StatusMessage) -> RunDetails:
    """Return a run that somebody else has started, as far as its request tells."""
    try:
        # It refuses NaN and halves of surrogates, which no answer could have.
        request = from_json(status.body, allow_inf_nan=False)
    except ValueError:
        request = None
    request = request if isinstance(request, dict) else {}
    experiment = request.get("experiment")
    named = experiment if isinstance(experiment, dict) else {}
    n_images = request.get("n_images")
    return RunDetails(
        request_id=status.request_id,
        state="queued",
        output_file=str(request.get("output_file", "")),
        n_requested=n_images if isinstance(n_images, int) else None,
        request=request or None,
        user_name=named.get("user_name"),
        sample_name=named.get("sample_name"),
        title=named.get("title"),
    )


def _end(status: StatusMessage) -> dict[str, Any]:
    end: dict[str, Any] = {"state": "ended", "images_per_second": None, "seconds_left": None, "ended_at": _now()}
    report = status.report
    if report is None:  # a writer of the convention, without reports
        return end | {"verdict": _VERDICTS[status.action], "reason": status.message}
    lists = json.loads(report.to_wire())
    kept = ("n_requested", "n_written", "n_incomplete", "n_lost", "faults", "started_at")
    end |= {name: getattr(report, name) for name in kept if getattr(report, name) is not None}
    names = ("lost_image_ids", "incomplete_image_ids", "files")
    end |= {name: lists[name] for key in names for name in (key, f"{key}_truncated")}
    return end | {
        "verdict": report.verdict,
        "reason": report.reason,
        "ended_at": report.ended_at or end["ended_at"],
        "n_files": len(report.files) + report.files_truncated,
        "first_image_id": report.first_image_id,
        "last_image_id": report.last_image_id,
    }


def _now() -> datetime:
    return datetime.now(UTC)


def tellable(status: StatusMessage) -> StatusMessage:
    """Return a status whose texts an answer can have: what is no text of Unicode in them is shown as ``?``."""
    details = {name: _shown(value) if isinstance(value, str) else value for name, value in status.details.items()}
    return replace(status, message=_shown(status.message), details=details)


def _shown(text: str) -> str:
    return text.encode(errors="replace").decode()


def summary_of(run: RunView) -> RunView:
    """Return a run as lists show it, without its request and its ranges."""
    return RunView.model_validate(run.model_dump(include=set(RunView.model_fields)))
