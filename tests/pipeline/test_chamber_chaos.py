"""Every process of a chamber is killed, ended or stopped at random, and the account of its events adds up."""

import sys
from pathlib import Path

import pytest

from std_daq.recording.requests import Verdict
from std_test_kit.chamber_chaos import ChamberInChaos

CHAOS_S = 12.0
LONGEST_PAUSE_S = 0.8


@pytest.mark.long
@pytest.mark.timeout(600)
def test_frames_events_results_and_requests_add_up_whoever_is_killed(
    tmp_path: Path, shm_dir: Path, broker_url: str, tag: str, pytestconfig: pytest.Config
) -> None:
    seed = pytestconfig.getoption("seed")
    with ChamberInChaos(tmp_path, shm_dir, broker_url, tag, seed) as chamber:
        chamber.live(CHAOS_S, LONGEST_PAUSE_S)
        chamber.check_account()
    sys.stdout.write(f"seed {seed}: {chamber.n_events} events; {dict(chamber.verdicts)}; {dict(chamber.happened)}\n")
    assert sum(chamber.happened.values()) > CHAOS_S / 2
    assert chamber.verdicts[Verdict.COMPLETE] >= 1
