"""A command that sends images waits for the run that is to have them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_test_kit.beamline import Beamline

N_IMAGES = 20


@pytest.mark.long
def test_all_images_of_a_sender_that_was_there_first_are_in_the_run(
    beamline_config: Callable[..., dict[str, Any]], open_beamline: Callable[[dict[str, Any]], Beamline], tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger"))
    with beamline.start("simulate", "--n-images", str(N_IMAGES), "--rate-hz", "50", "--when-requested") as sending:
        assert sending.process.stderr is not None
        assert "waiting until a run of" in sending.process.stderr.readline()
        with beamline.write(tmp_path / "run.h5", "--n-images", str(N_IMAGES)) as writing:
            exit_code, report, _ = writing.finish()
        assert sending.finish()[0] == 0
    assert exit_code == 0, report
