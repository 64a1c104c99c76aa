"""The answer to Status: how sources, clients, and each module and board are."""

from collections.abc import Iterable

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_live_view.acquisition import Condition
from std_live_view.frame_hub import FrameHub
from std_live_view.selection import Selection
from std_live_view.source_watch import SourceWatch
from std_live_view.sources.source import Source
from std_live_view.streams import Streams

_VALID = "hp_io task is initialized and valid."
_NOT_VALID = "hp_io task is not initialized."


def left_out(selection: Selection) -> messages.LeftOut:
    """Return what a client was not sent."""
    return messages.LeftOut(by_interval=selection.n_by_interval, by_slow_client=selection.n_by_slow_client)


def condition_of(*, is_valid: bool) -> Condition:
    """Return what is told of a server that has sources of its own, in the words that clients know."""
    return Condition(is_valid, _VALID if is_valid else _NOT_VALID)


def describe(
    condition: Condition,
    *,
    sources: Iterable[Source],
    watch: SourceWatch,
    streams: Streams,
    hub: FrameHub,
    now_s: float,
    now_ns: int,
) -> messages.StatusResponse:
    """Return the answer to Status.

    Parameters
    ----------
    condition
        How the acquisition is.
    sources, watch, streams, hub
        What is told of.
    now_s, now_ns
        The monotonic time in seconds, and the time in nanoseconds since 1970.
    """
    response = messages.StatusResponse(hp_io_initialized=condition.is_valid, message=condition.message)
    for source in sources:
        state = source.state
        response.sources.add(
            name=source.name,
            is_running=source.name not in watch.stopped,
            problem=watch.problems.get(source.name, ""),
            frames=state.n_frames,
            refused=state.n_refused,
            silent_seconds=watch.silent_s(source),
            left_out=messages.LeftOut(by_interval=state.n_by_interval, by_slow_client=state.n_by_slow_client),
        )
    for stream in streams:
        selection = stream.selection
        response.clients.add(
            peer=stream.peer,
            update_interval_seconds=selection.interval_s,
            module_ids=sorted(selection.module_ids),
            sent=selection.n_sent,
            left_out=left_out(selection),
        )
    for (key, board), counters in sorted(hub.counters.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        newest = counters.newest
        row = response.products.add(
            module_id=key.module_id,
            product=key.product,
            frames=counters.n_frames,
            zero_frames=counters.n_zero,
            rate_hz=counters.rate_hz(now_s),
            age_seconds=0.0 if newest is None else max(0.0, (now_ns - newest.server_ns) / 1e9),
            newest_maximum=0 if newest is None else min(newest.maximum, 2**32 - 1),
        )
        if board is not None:
            row.board = board
    return response
