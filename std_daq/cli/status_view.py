"""The status of a detector as tables for a terminal."""

from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from std_daq.client.status import DetectorStatus, ReplicationCounts, RunStatus, ServiceStatus
from std_daq.imaging.frame_numbers import frames_ahead_text

_BUSY, _FULL = 0.5, 0.9


def status_view(status: DetectorStatus) -> RenderableType:
    """Return the status as tables for a rich console."""
    at = datetime.fromtimestamp(status.time_s).astimezone()
    state = Text("ready", "bold green") if status.is_ready else Text("not ready", "bold red")
    head = Text.assemble((status.detector_name, "bold"), "  ", state, f"  {at:%H:%M:%S}")
    if not status.services:
        return Group(head, Text("no service of this detector runs here; start the services with std-daq up"))
    flow = _flow(status)
    parts: list[RenderableType] = [head, "", _services(status)]
    if flow.row_count:
        parts += ["", flow]
    if status.packets.remarks:
        parts += ["", *(Text(remark, "yellow") for remark in status.packets.remarks)]
    return Group(*parts)


def _services(status: DetectorStatus) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("service", "state", "pid", "up", "memory", "cpu", "does"):
        table.add_column(heading, justify="right" if heading in {"pid", "up", "memory", "cpu"} else "left")
    for service in status.services:
        table.add_row(
            service.instance,
            _state(service),
            str(service.pid),
            str(timedelta(seconds=int(service.up_s))),
            "" if service.memory_bytes is None else f"{service.memory_bytes / 1e6:.0f} MB",
            "" if service.cpu_s is None else f"{service.cpu_s:.0f} s",
            _doing(service, status.writing.states.get(service.instance, "")),
        )
    return table


def _doing(service: ServiceStatus, state_of_run: str) -> str:
    """Return what a service does: the state of its run, and the figures that the service chose to show."""
    figures = (f"{title} {figure.value:g}{_in_brackets(figure.per_s)}" for title, figure in service.figures.items())
    return ", ".join(filter(None, (state_of_run, *figures)))


def _in_brackets(per_s: float | None) -> str:
    return "" if per_s is None else f" ({per_s:.1f}/s)"


def _state(service: ServiceStatus) -> Text:
    if not service.is_answering:
        return Text("does not answer", "red")
    if service.is_ready:
        return Text("ready", "green")
    return Text(f"not ready: {service.reason}" if service.reason else "not ready", "yellow")


def _flow(status: DetectorStatus) -> Table:
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
            table.add_row(f"{reader} is behind", str(lag), f"of {ring.slots} {ring.kind}", _bar(lag, ring.slots))
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
    if run.request_id:
        table.add_row("", "", "", Text(f"{run.request_id} to {run.output_file}"))
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


def _bar(lag: int, slots: int) -> ProgressBar:
    share = lag / slots if slots else 0.0
    colour = "green" if share < _BUSY else "yellow" if share < _FULL else "red"
    return ProgressBar(total=max(slots, 1), completed=min(lag, slots), width=30, complete_style=colour)
