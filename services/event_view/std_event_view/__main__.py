"""The command ``std-event-view``."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from std_daq.errors import ConfigError
from std_daq.service import ServiceContext, run_service
from std_daq.tpc.config import TpcConfig
from std_event_view.service import SERVICE

if TYPE_CHECKING:
    from std_daq.view3d.drawing import Drawing
    from std_daq.view3d.viewer_feed import ViewerFeed
    from std_event_view.board_source import BoardSource
    from std_event_view.event_view import EventView


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[TpcConfig]) -> "EventView":
    """Build the parts of the service and put them together."""
    from std_daq.tpc.reconstruction.results import results_address
    from std_daq.tpc.view.commands import commands_address
    from std_daq.tpc.view.event_drawing import ChamberDrawing
    from std_daq.tpc.view.layout import APPLICATION, ChamberLayout
    from std_daq.tpc.view.results_source import ResultsSource
    from std_event_view.command_socket import CommandSocket
    from std_event_view.event_recording import EventRecording
    from std_event_view.event_view import EventView
    from std_event_view.metrics import EventViewMetrics

    config, arguments = context.config, context.arguments
    first: list[Drawing] = [ChamberLayout(is_live=True), ChamberDrawing()]
    with ExitStack() as opened:
        boards = _boards(config)
        opened.callback(boards.close)
        results = ResultsSource(results_address(config))
        opened.callback(results.close)
        commands = CommandSocket(commands_address(config))
        opened.callback(commands.close)
        recording = None
        if arguments.output is not None:
            recording = EventRecording(arguments.output, APPLICATION, first)
            opened.callback(recording.close)
        feeds = _feeds(context, first, opened)
        return EventView(
            results=results,
            boards=boards,
            commands=commands,
            feeds=feeds,
            recording=recording,
            magnetic_field=config.analysis.detector.magnetic_field,
            window_s=60 * arguments.minutes,
            pads=tuple(arguments.pad),
            metrics=EventViewMetrics(context.registry),
            resources=opened.pop_all(),
        )


def _boards(config: TpcConfig) -> "BoardSource":
    from std_daq.tpc.boards import expected_boards
    from std_daq.tpc.events.event_reader import EventReader
    from std_daq.tpc.pads.load import load_pads
    from std_daq.tpc.view.board_table import BoardTable
    from std_event_view.board_source import BoardSource

    plane = load_pads(config.pads)
    expected = expected_boards(config.boards, plane) or ()
    return BoardSource(EventReader(config, copy=False), BoardTable(plane, sorted(expected)))


def _feeds(context: ServiceContext[TpcConfig], first: "Sequence[Drawing]", opened: ExitStack) -> "list[ViewerFeed]":
    from std_daq.telemetry.logs import get_logger
    from std_daq.tpc.view.layout import APPLICATION
    from std_daq.view3d.browser_viewer import BrowserViewer
    from std_daq.view3d.viewer_address import ViewerAddress
    from std_daq.view3d.viewer_feed import ViewerFeed
    from std_event_view.event_view import EVENT
    from std_event_view.options import browser_of

    arguments, url = context.arguments, context.config.viewer.url
    served = browser_of(arguments, context.config.viewer.browser)
    addresses = []
    if arguments.viewer is not None:
        addresses.append(arguments.viewer)
    elif url is not None:
        addresses.append(ViewerAddress.of(url))
    if served is not None:
        browser = opened.enter_context(
            BrowserViewer(served.host, served.port, data_port=served.data_port, listen=served.listen)
        )
        get_logger().info("open_in_a_browser", url=browser.url)
        addresses.append(browser.address)
    if not addresses and arguments.output is None:
        raise ConfigError(
            "no viewer is given",
            key="viewer.url",
            remedy="give one, such as localhost:9876, or viewer.browser, --viewer, --browser or --output",
        )
    feeds = []
    for address in addresses:
        feeds.append(ViewerFeed(address, APPLICATION, first, urgent=EVENT))
        opened.callback(feeds[-1].close)
    return feeds


if __name__ == "__main__":
    sys.exit(main())
