"""RunFacts: what is known of a run, and how a notebook shows it."""

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from std_daq.recording.id_ranges import format_id_ranges, parse_ranges
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict

_MAX_RANGE_CHARS = 100_000
_MAX_SHOWN_CHARS = 300
_STATES = {Action.ACCEPTED: "queued", Action.START: "started", Action.PROGRESS: "started"}
# Readable on light and dark pages.
_COLOURS = {
    Verdict.COMPLETE: "#2e8b57",
    Verdict.INCOMPLETE: "#c77700",
    Verdict.KILLED: "#c77700",
    Verdict.FAILED: "#d0342c",
    Verdict.REFUSED: "#d0342c",
}
_WIDTH, _HEIGHT = 640, 24
_WRITTEN, _LOST, _INCOMPLETE, _GROUND = "#2e8b57", "#d0342c", "#e0a800", "#8888884d"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run.

    Attributes
    ----------
    request_id
        Id of the request.
    state
        sent, queued, started or ended.
    verdict
        How it ended; None before.
    message
        The last status, or the reason of the verdict, in words.
    files
        Its files, the master first; before its end the one of the request.
    n_requested
        Images asked for; None: until killed.
    n_written, n_incomplete, n_lost
        Images in the files, of these not good ones, and those of the run that are in no file.
    lost_image_ids, incomplete_image_ids
        Their ids as ranges, as far as known: ``12-40,57``.
    first_image_id, last_image_id
        Ids of the first and the last image that came; None as long as that is not known.
    seconds_left
        How long it will still take; None if that is not known.
    """

    request_id: str
    state: str = "sent"
    verdict: Verdict | None = None
    message: str = ""
    files: tuple[str, ...] = ()
    n_requested: int | None = None
    n_written: int = 0
    n_incomplete: int = 0
    n_lost: int = 0
    lost_image_ids: str = ""
    incomplete_image_ids: str = ""
    first_image_id: int | None = None
    last_image_id: int | None = None
    seconds_left: float | None = None

    @classmethod
    def of_statuses(
        cls, request_id: str, n_requested: int | None, last: StatusMessage | None, report: RunReport | None
    ) -> Self:
        """Return what the statuses of a run tell.

        Parameters
        ----------
        request_id
            Id of the request.
        n_requested
            Number of images in the request.
        last
            The last status; None before the first.
        report
            The report; None before the end.
        """
        if report is not None:
            return cls(
                request_id=request_id,
                state="ended",
                verdict=report.verdict,
                message=report.reason,
                files=report.files,
                n_requested=report.n_requested,
                n_written=report.n_written,
                n_incomplete=report.n_incomplete,
                n_lost=report.n_lost,
                lost_image_ids=format_id_ranges(report.lost_image_ids, _MAX_RANGE_CHARS)[0],
                incomplete_image_ids=format_id_ranges(report.incomplete_image_ids, _MAX_RANGE_CHARS)[0],
                first_image_id=report.first_image_id,
                last_image_id=report.last_image_id,
            )
        if last is None:
            return cls(request_id=request_id, n_requested=n_requested)
        file = last.details.get("output_file")
        return cls(
            request_id=request_id,
            state=_STATES.get(last.action, "sent"),
            message=last.message,
            files=() if file is None else (str(file),),
            n_requested=n_requested,
            n_written=_count(last.details.get("n_written")),
            n_lost=_count(last.details.get("n_lost")),
        )

    @classmethod
    def of_document(cls, run: Mapping[str, Any]) -> Self:
        """Return what the document of a run says, as a console gives it.

        Raises
        ------
        ValueError
            It is not such a document.
        """
        try:
            files = tuple(run.get("files") or filter(None, [run["output_file"]]))
            return cls(
                request_id=run["request_id"],
                state=run["state"],
                verdict=None if run["verdict"] is None else Verdict(run["verdict"]),
                message=run["reason"] or run["message"],
                files=files,
                n_requested=run["n_requested"],
                **{name: run[name] for name in ("n_written", "n_incomplete", "n_lost")},
                **{name: run[name] for name in ("lost_image_ids", "incomplete_image_ids")},
                **{name: run[name] for name in ("first_image_id", "last_image_id", "seconds_left")},
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is not the document of a run: {error}") from None

    @property
    def is_ended(self) -> bool:
        """Whether the run has ended."""
        return self.state == "ended"

    def in_words(self) -> str:
        """Return the run in one line."""
        wanted = "" if self.n_requested is None else f" of {self.n_requested:,}"
        parts = [f"{self.n_written:,}{wanted} images written"]
        if self.n_incomplete:
            parts.append(f"{self.n_incomplete:,} of them incomplete")
        if self.n_lost:
            parts.append(f"{self.n_lost:,} lost" + (f" ({_cut(self.lost_image_ids)})" if self.lost_image_ids else ""))
        if self.seconds_left is not None:
            parts.append(f"{self.seconds_left:.0f} s left")
        return f"{self.verdict or self.state}: {', '.join(parts)}"

    def as_html(self) -> str:
        """Return the run as a part of an HTML page: verdict, counts, a plot, the files. It loads nothing.

        The plot is a picture: in a notebook of somebody else, Jupyter shows pictures, but no drawings.
        """
        colour = "inherit" if self.verdict is None else _COLOURS[self.verdict]
        head, _, counts = self.in_words().partition(": ")
        lines = [f'<b style="color: {colour}">{html.escape(head)}</b>: {html.escape(counts)}']
        if self.message and self.message != head:
            lines.append(html.escape(self.message))
        if plot := self.plot():
            source = base64.b64encode(plot.encode()).decode()
            alt = html.escape(self._plot_in_words())
            lines.append(
                f'<img src="data:image/svg+xml;base64,{source}" width="{_WIDTH}" height="{_HEIGHT}" alt="{alt}"'
                f' style="max-width: 100%"><br><small>{alt}</small>'
            )
        lines += [f"<code>{html.escape(_cut(file))}</code>" for file in self.files[:1]]
        if len(self.files) > 1:
            lines.append(f"and {len(self.files) - 1:,} more files")
        lines.append(f"<small>request {html.escape(self.request_id)}</small>")
        return f"<div>{'<br>'.join(lines)}</div>"

    def plot(self) -> str:
        """Return an SVG: the progress of a run, or after its end where images are lost or incomplete."""
        if self.is_ended:
            parts = self._marks()
        elif self.n_requested:
            written = min(1.0, self.n_written / self.n_requested) * _WIDTH
            parts = [_rectangle(0, written, _WRITTEN)]
            parts.append(_rectangle(written, min(_WIDTH - written, self.n_lost / self.n_requested * _WIDTH), _LOST))
        else:
            parts = []
        if not parts:
            return ""
        ground = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{_GROUND}"/>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'height="{_HEIGHT}">{ground}{"".join(parts)}</svg>'
        )

    def _marks(self) -> list[str]:
        """Return the images of the run from the first to the last, with marks where one is incomplete or lost."""
        span = self._span()
        if span is None:
            return []
        first, last = span
        scale = _WIDTH / (last - first + 1)
        marks = [_rectangle(0, _WIDTH, _WRITTEN)]
        # The lost ones last: they are seen, whatever is beside them.
        for ids, colour in ((self.incomplete_image_ids, _INCOMPLETE), (self.lost_image_ids, _LOST)):
            columns: dict[int, float] = {}
            for begin, end in parse_ranges(ids):
                left = (begin - first) * scale
                columns[int(left)] = max(columns.get(int(left), 0.0), (end - begin + 1) * scale, 1.0)
            marks += [_rectangle(left, width, colour) for left, width in columns.items()]
        return marks

    def _span(self) -> tuple[int, int] | None:
        """Return the first and the last id of what the run should have; None if that is not known."""
        if self.first_image_id is None or self.last_image_id is None:
            return None
        ids = [*parse_ranges(self.lost_image_ids), (self.first_image_id, self.last_image_id)]
        return min(first for first, _ in ids), max(last for _, last in ids)

    def _plot_in_words(self) -> str:
        span = self._span()
        if not self.is_ended or span is None:
            return f"{self.n_written:,} images written, {self.n_lost:,} lost"
        bad = [f"{n:,} {word}" for n, word in ((self.n_lost, "lost"), (self.n_incomplete, "incomplete")) if n]
        return f"images {span[0]} to {span[1]}: {', '.join(bad) or 'all there'}"


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _rectangle(left: float, width: float, colour: str) -> str:
    return f'<rect x="{left:.2f}" width="{width:.2f}" height="{_HEIGHT}" fill="{colour}"/>'


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."
