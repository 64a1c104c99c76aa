"""Compiles what the phases of an analysis need, before the first event comes."""

from collections.abc import Iterator

from std_daq.native.jit import Kernel
from std_daq.tpc.reconstruction import outlier_kernels, peak_kernels


def kernels_of_phases() -> Iterator[tuple[str, Kernel]]:
    """Yield the functions that the phases call, with their names."""
    for module in (peak_kernels, outlier_kernels):
        for name, found in vars(module).items():
            if isinstance(found, Kernel):
                yield name, found
