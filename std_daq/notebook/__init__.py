"""Live images and runs in a Jupyter notebook, from a console: LiveImage, Run, and wait_for.

::

    from std_daq.notebook import LiveImage, Run

    LiveImage("http://localhost:5000", "jungfrau")
    Run("http://localhost:5000", "jungfrau")  # the newest
"""

from std_daq.notebook.live_image import LiveImage
from std_daq.notebook.run import Run, wait_for

__all__ = ["LiveImage", "Run", "wait_for"]
