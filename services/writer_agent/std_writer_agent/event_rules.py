"""EventRules: what may be asked of a chamber, whose events become one merged file, GRAW files, or both."""

from pathlib import Path

from std_daq.errors import RequestRefusedError
from std_daq.recording.requests import WriteRequest
from std_daq.tpc.frames.recorded_graw import index_path
from std_daq.tpc.merged.event_log import log_path
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.pads.channel_map import PAD
from std_daq.tpc.pads.plane import PadPlane


class EventRules:
    """The rules of a chamber.

    Parameters
    ----------
    plane
        The pad plane, whose channel map tells whether there are silicon detectors.
    keeps_frames
        Whether the builder keeps frames in the ring, without which there are no GRAW files.
    """

    image_bytes = 0

    def __init__(self, plane: PadPlane, *, keeps_frames: bool = False) -> None:
        self._keeps_frames = keeps_frames
        channels = () if plane.channel_map is None else plane.channel_map.channels
        self._has_silicon = any(channel.detector != PAD for channel in channels)

    def check(self, request: WriteRequest) -> None:
        """Raise RequestRefusedError if a chamber has no such files."""
        if request.format == "pff":
            raise RequestRefusedError("format pff: a chamber writes hdf5, merged files, and graw, raw frames")
        self._check_graw(request)
        if request.images_per_file is not None or request.n_files is not None:
            raise RequestRefusedError(
                "images_per_file, n_files: a merged file has all events of its run; leave them out"
            )
        if request.compression != "none":
            raise RequestRefusedError(
                f"compression {request.compression}: programs of the field read merged files without compression only"
            )
        if request.experiment:
            raise RequestRefusedError(
                "experiment: a chamber has no such section; values of your own go into user_metadata"
            )
        if self._has_silicon and request.format != "graw" and request.layout in {None, Layout.V1_0}:
            raise RequestRefusedError(
                "layout 1.0 has no place for silicon detectors, and the channel map has some: ask for layout 2.0"
            )
        log = log_path(Path(request.output_file))
        if log.exists():
            raise RequestRefusedError(
                f"{log} exists: it is the log of a file whose writer was killed; run std-daq recover "
                f"{request.output_file}, or remove the log if that file is gone"
            )

    def _check_graw(self, request: WriteRequest) -> None:
        if request.format == "hdf5":
            return
        if not self._keeps_frames:
            raise RequestRefusedError(
                f"format {request.format}: the builder keeps no frames; set builder.keep_frames in tpc.json, and "
                "restart the services"
            )
        if request.format == "graw" and request.layout is not None:
            raise RequestRefusedError(f"layout {request.layout}: GRAW files have no layouts; leave it out")
        index = index_path(Path(request.output_file), request.format)
        if request.format == "hdf5+graw" and index.exists():
            raise RequestRefusedError(f"{index} exists, the index of the GRAW files: give another output_file")
