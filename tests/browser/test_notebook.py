"""A notebook with the image and the runs of a detector: executed by Jupyter, and seen as a page."""

import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from std_daq.amqp.broker_lookup import VARIABLE
from std_test_kit.beamline import Beamline
from std_test_kit.notebooks import NotebookProcess
from std_test_kit.web_process import WebProcess

OpenPage = Callable[..., Page]
SIMULATE = """
import subprocess
simulate = [{python!r}, "-m", "std_daq.cli", "simulate", "--config", {config!r}, "--n-images", "60", "--rate-hz", "20"]
detector = subprocess.Popen(simulate, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""
# Colour of the middle of a picture, as its browser has decoded it.
MIDDLE = """image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return Array.from(context.getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1).data);
}"""
GREEN = [0x2E, 0x8B, 0x57, 255]


@pytest.mark.long
@pytest.mark.timeout(240)
def test_image_and_runs_of_a_notebook_are_seen_on_its_page(
    beamline: Beamline, web: WebProcess, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, beamline.broker_url)
    folder = beamline.config_file.parent
    config, name = str(beamline.config_file), beamline.config.name
    cells = (
        "from std_daq.client import DaqClient\nfrom std_daq.notebook import LiveImage, Run, wait_for",
        f"live = LiveImage({web.url!r}, {name!r}, rate_hz=5)\nlive",
        f"run = DaqClient({config!r}).write({str(folder / 'seen.h5')!r}, n_images=50)\n"
        + SIMULATE.format(python=sys.executable, config=config),
        "report = wait_for(run)",
        # Its last picture is shown when it tells that none has come since.
        (
            "from std_test_kit.wait import wait_until\ndetector.wait()\n"
            "wait_until(lambda: live._told.startswith('stale'), 30)\nlive.close()\nprint(report.verdict)"
        ),
        f"Run({web.url!r}, {name!r})",
        "run",
    )
    with NotebookProcess(folder, *cells) as notebook:
        outputs = notebook.outputs()
        assert outputs[4][0]["text"] == "complete\n"
        page = open_page(notebook.page().as_uri(), height=2400, is_shown=False)
    expect(page.locator("body")).to_contain_text(f"{name}, image ")
    image = page.locator('img[src^="data:image/png"]')
    expect(image).to_have_count(1)
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [512, 512]
    assert image.evaluate(MIDDLE)[3] == 255
    plots = page.locator('img[src^="data:image/svg"]')
    expect(plots).to_have_count(3)  # of wait_for, of the console, and of the client
    for plot in plots.all():
        assert plot.evaluate(MIDDLE) == GREEN
        assert "all there" in str(plot.get_attribute("alt"))
    expect(page.get_by_text("complete: 50 of 50 images written")).to_have_count(3)
    expect(page.get_by_text(str(folder / "seen.h5")).last).to_be_visible()
