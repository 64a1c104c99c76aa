"""The status of a detector as tables for a terminal, which fit windows of any size."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from std_daq.cli.folded_path import folded_path
from std_daq.client.status import DetectorStatus, ReplicationCounts, RunStatus, ServiceStatus
from std_daq.imaging.frame_numbers import frames_ahead_text

_BUSY, _FULL = 0.5, 0.9
_NUMBERS = ("pid", "up", "memory", "cpu")
_LEFT_OUT_FIRST = ("cpu", "memory", "up", "pid")
_NARROW = 80
_BAR, _SHORT_BAR = 30, 10


class StatusView:
    """The status, to be printed on a console of rich.

    In a narrow window, columns of lesser use are left out. In a low one, blank lines and the services that are ready.

    Parameters
    ----------
    status
        The status.
    is_in_window
        Whether it must fit the window; otherwise it is as long as it has to be, and a path is one line of any length.
    """

    def __init__(self, status: DetectorStatus, *, is_in_window: bool = False) -> None:
        self._status = status
        self._is_in_window = is_in_window

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what fits."""
        if not self._is_in_window:
            yield Group(*_with_gaps(self._sections(console, options, self._status.services)))
            return
        height = console.size.height
        lines: list[list[Segment]] = []
        for view in self._from_long_to_short(console, options):
            lines = console.render_lines(view, options.update(height=None), pad=False)
            if len(lines) <= height:
                break
        if len(lines) > height:
            text = f"... {len(lines) - height + 1} more lines: a larger window or --once shows them"
            lines[height - 1 :] = [[Segment(text[: options.max_width])]]
        for index, line in enumerate(lines):
            if index:
                yield Segment.line()
            yield from line

    def _from_long_to_short(self, console: Console, options: ConsoleOptions) -> Iterator[Group]:
        services = self._status.services
        long = self._sections(console, options, services)
        yield Group(*_with_gaps(long))
        yield Group(*long)
        others = [one for one in services if not one.is_ready]
        yield Group(*self._sections(console, options, others))

    def _sections(
        self, console: Console, options: ConsoleOptions, services: Sequence[ServiceStatus]
    ) -> list[RenderableType]:
        status = self._status
        at = datetime.fromtimestamp(status.time_s).astimezone()
        state = Text("ready", "bold green") if status.is_ready else Text("not ready", "bold red")
        head = Text.assemble((status.detector_name, "bold"), "  ", state, f"  {at:%H:%M:%S}")
        if not status.services:
            return [Group(head, Text("no service of this detector runs here; start the services with std-daq up"))]
        n_ready = len(status.services) - len(services)
        if n_ready:
            head.append(f"  {n_ready} of {len(status.services)} services are ready")
        width = options.max_width
        flow = _flow(status, _SHORT_BAR if width < _NARROW else _BAR)
        sections: list[RenderableType] = [head]
        if services:
            sections.append(_services(status, services, console, options))
        if flow.row_count:
            sections.append(flow)
        if status.run.request_id:
            sections.append(_run_texts(status.run, width if self._is_in_window else None))
        if status.packets.remarks:
            sections.append(Group(*(Text(remark, "yellow") for remark in status.packets.remarks)))
        return sections


def _with_gaps(sections: list[RenderableType]) -> list[RenderableType]:
    return [part for section in sections for part in ("", section)][1:]


def _services(
    status: DetectorStatus,
    services: Sequence[ServiceStatus],
    console: Console,
    options: ConsoleOptions,
) -> Table:
    """Return the table of services, without as many of its columns as the width does not allow."""
    for n_left_out in range(len(_LEFT_OUT_FIRST) + 1):
        table = _table_of_services(status, services, set(_LEFT_OUT_FIRST[:n_left_out]))
        if Measurement.get(console, options.update(max_width=10_000), table).maximum <= options.max_width:
            break
    return table


def _table_of_services(status: DetectorStatus, services: Sequence[ServiceStatus], left_out: set[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    headings = [one for one in ("service", "state", *_NUMBERS, "does") if one not in left_out]
    for heading in headings:
        is_number = heading in _NUMBERS
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=heading != "does")
    for service in services:
        cells: dict[str, RenderableType] = {
            "service": service.instance,
            "state": _state(service),
            "pid": str(service.pid),
            "up": str(timedelta(seconds=int(service.up_s))),
            "memory": "" if service.memory_bytes is None else f"{service.memory_bytes / 1e6:.0f} MB",
            "cpu": "" if service.cpu_s is None else f"{service.cpu_s:.0f} s",
            "does": _doing(service, status.writing.states.get(service.instance, "")),
        }
        table.add_row(*(cells[heading] for heading in headings))
    return table


def _run_texts(run: RunStatus, width: int | None) -> RenderableType:
    """Return the id and the file of a run; in a window, the path is broken where names end."""
    texts = [f"request  {run.request_id}"]
    lines = [run.output_file] if width is None else folded_path(run.output_file, max(width - len("file     "), 1))
    texts += [f"{'' if index else 'file':<9}{line}" for index, line in enumerate(lines)]
    return Group(*(Text(text, no_wrap=True, overflow="ignore") for text in texts))


def _doing(service: ServiceStatus, state_of_run: str) -> str:
    """Return why a service is not ready, the state of its run, and the figures that the service chose to show."""
    figures = (f"{title} {figure.value:g}{_in_brackets(figure.per_s)}" for title, figure in service.figures.items())
    why_not = "" if service.is_ready or not service.is_answering else service.reason
    return ", ".join(filter(None, (why_not, state_of_run, *figures)))


def _in_brackets(per_s: float | None) -> str:
    return "" if per_s is None else f" ({per_s:.1f}/s)"


def _state(service: ServiceStatus) -> Text:
    if not service.is_answering:
        return Text("does not answer", "red")
    return Text("ready", "green") if service.is_ready else Text("not ready", "yellow")


def _flow(status: DetectorStatus, bar_width: int) -> Table:
    packets, images, writing = status.packets, status.images, status.writing
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()
    if packets.received or any(ring.kind == "frames" for ring in status.rings):
        table.add_row("packets", f"{packets.received}", _rate(packets.received_per_s), _rejections(status))
        for module, n_frames in packets.frames_ahead.items():
            table.add_row("", "", "", Text(frames_ahead_text(module, n_frames), "red"))
    if images.total or any(ring.kind == "images" for ring in status.rings):
        by_status = ", ".join(f"{name} {n}" for name, n in images.by_status.items() if n)
        table.add_row("images", f"{images.total}", _rate(images.per_s), Text(by_status).append_text(_loss(images.lost)))
    if writing.states:
        volume = f"{writing.bytes / 1e9:.2f} GB"
        speed = "" if writing.bytes_per_s is None else f"{writing.bytes_per_s / 1e6:.0f} MB/s"
        table.add_row("written", f"{writing.images}", _rate(writing.images_per_s), _loss(writing.lost))
        table.add_row("", volume, speed, "")
    _add_replication(table, status.replication)
    for ring in status.rings:
        for reader, lag in ring.lag.items():
            table.add_row(
                f"{reader} is behind", str(lag), f"of {ring.slots} {ring.kind}", _bar(lag, ring.slots, bar_width)
            )
    _add_run(table, status.run)
    return table


def _add_replication(table: Table, replication: ReplicationCounts) -> None:
    if replication.n_sources is not None:
        table.add_row("from other server", f"{replication.n_sources} sources", "", f"{replication.n_sessions} sessions")
    if not replication.sent and not replication.lag:
        return
    receivers = ", ".join(f"{name} is {lag} behind" for name, lag in replication.lag.items()) or "no receiver"
    table.add_row(
        "sent",
        f"{replication.sent}",
        _rate(replication.sent_per_s),
        Text(receivers).append_text(_loss(replication.lost)),
    )


def _add_run(table: Table, run: RunStatus) -> None:
    if not run.state:
        return
    wanted = "" if run.n_requested is None else f"of {run.n_requested}"
    ended = ", ".join(f"{verdict} {n}" for verdict, n in run.ended.items())
    table.add_row(f"run: {run.state}", str(run.n_written), wanted, _loss(run.n_lost))
    if ended:
        table.add_row("runs before", "", "", ended)
    if run.broker:
        table.add_row("broker", f"{run.n_waiting}", "wait", Text(run.broker, "red"))


def _rate(per_s: float | None) -> str:
    return "" if per_s is None else f"{per_s:.1f}/s"


def _rejections(status: DetectorStatus) -> Text:
    packets = status.packets
    reasons = {"lost": packets.lost, "dropped by the kernel": packets.kernel_drops, **packets.rejected}
    return Text(", ".join(f"{reason} {n}" for reason, n in reasons.items() if n), "red")


def _loss(n_lost: int) -> Text:
    return Text(f" lost {n_lost}" if n_lost else "", "red")


def _bar(lag: int, slots: int, width: int) -> ProgressBar:
    share = lag / slots if slots else 0.0
    colour = "green" if share < _BUSY else "yellow" if share < _FULL else "red"
    return ProgressBar(total=max(slots, 1), completed=min(lag, slots), width=width, complete_style=colour)
