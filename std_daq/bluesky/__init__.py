"""A detector of std-daq as a device of bluesky, by ophyd-async: needs the extra ``bluesky``.

::

    detector = StdDaqDetector("detector.json", path_provider, name="jungfrau")
    RE(bp.count([detector], num=3))
"""

from std_daq.bluesky.detector import StdDaqDetector
from std_daq.bluesky.outcome import RunOutcomeError

__all__ = ["RunOutcomeError", "StdDaqDetector"]
