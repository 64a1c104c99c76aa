"""What a user's script or notebook imports: DaqClient.

::

    client = DaqClient("detector.json")
    run = client.write("/data/run1.h5", n_images=1000)
    report = run.wait()
    assert report.verdict == "complete"
"""

from std_daq.client.daq_client import DaqClient
from std_daq.client.run import Run
from std_daq.client.status import DetectorStatus
from std_daq.recording.requests import RunReport, StatusMessage, Verdict

__all__ = ["DaqClient", "DetectorStatus", "Run", "RunReport", "StatusMessage", "Verdict"]
