"""The checks of a chamber's configuration that several services share."""

from std_daq.service.checks import Check
from std_daq.tpc.config import TpcConfig


def _check_pads(config: TpcConfig) -> None:
    from std_daq.tpc.pads.load import load_pads

    load_pads(config.pads)


PADS = Check(subject="pads", run=_check_pads, is_part_of_start=True)
