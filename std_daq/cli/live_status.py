"""The status of a live view in words, and as a document."""

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from std_daq.telemetry.terminal_console import TerminalConsole

if TYPE_CHECKING:
    from std_daq.telescope.daqdata import daq_data_pb2 as messages

_COLUMNS = ("module", "product", "board", "frames", "all zero", "per second", "age in s", "maximum")


def status_document(status: "messages.StatusResponse") -> dict[str, Any]:
    """Return a status as JSON has it; what a server does not tell is missing."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(status, preserving_proto_field_name=True)


def print_status(host: str, status: "messages.StatusResponse") -> None:
    """Print a status: a line for the host, its sources and clients, and a table of modules and boards."""
    console = TerminalConsole()
    console.print(Text.assemble((host, "bold"), f": {status.message}"))
    for source in status.sources:
        state = source.problem or "runs"
        console.print(f"  source {source.name}: {state}, {source.frames} frames, {source.refused} refused")
    for client in status.clients:
        left_out = client.left_out
        console.print(
            f"  client {client.peer}: {client.sent} sent, {left_out.by_interval} left out by its interval, "
            f"{left_out.by_slow_client} because it is slow"
        )
    if status.products:
        table = Table(*_COLUMNS)
        for row in status.products:
            board = str(row.board) if row.HasField("board") else ""
            numbers = (f"{row.rate_hz:.1f}", f"{row.age_seconds:.1f}", str(row.newest_maximum))
            table.add_row(str(row.module_id), row.product, board, str(row.frames), str(row.zero_frames), *numbers)
        console.print(table)
