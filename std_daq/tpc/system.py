"""The system of time-projection chambers with GET electronics, which a ``tpc.json`` describes."""

from std_daq.config.paths import runtime_dir
from std_daq.config.system import System
from std_daq.tpc.config import TpcConfig


def _summarise(config: TpcConfig) -> dict[str, str]:
    from std_daq.tpc.boards import expected_boards
    from std_daq.tpc.pads.load import load_pads

    plane = load_pads(config.pads)
    boards = expected_boards(config.boards, plane)
    channels = "by hardware" if plane.channel_map is None else f"{len(plane.channel_map.channels)} in the map"
    return {
        "chamber": config.name,
        "exporters": ", ".join(config.exporters),
        "boards": "those of topology frames" if boards is None else str(len(boards)),
        "channels": channels,
        "pads": "no positions" if plane.positions is None else f"{plane.n_pads}, {plane.is_beam_pad.sum()} of the beam",
        "ring": str(config.ring_paths[0]),
        "runtime_directory": str(runtime_dir(config)),
        "request_tag": config.tag,
        "viewer": config.viewer.url or "none",
    }


SYSTEM = System(name="tpc", file="tpc.json", model=TpcConfig, summarise=_summarise, nouns="events")
