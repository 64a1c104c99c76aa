"""Compile in advance, on all cores: ``python -m std_daq.native.compilation [--config FILE]``.

Without this command, a service compiles what it needs when it first starts, and keeps the machine code for later
starts. Use this command where the first start must be as fast as later ones: in container images, and before tests.

With ``--config``, the command compiles only what the services of this configuration need. Example: for a JUNGFRAU with
images in keV, these are the receive loop, the conversion to energies, and the compression of float32.

A package declares its compiled code in the entry point group ``std_daq.compiled``. An entry is one of two things:

- A module with kernels. Each kernel is compiled for each pixel type that it is declared for. With ``--config``, such
  entries are ignored.
- A function. It takes the path of the configuration, or None, and compiles what this configuration needs.

Detectors and services that a site has installed are found in the same way.
"""

import argparse
import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from std_daq.native.compiling import compiling, is_compiled
from std_daq.native.jit import Kernel
from std_daq.terminal import ProgressLine

ENTRY_POINT_GROUP = "std_daq.compiled"
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work for one process: one entry that is a function, or one kernel for one pixel type."""

    entry: EntryPoint
    kernel: str = ""
    pixel: str = ""

    @property
    def name(self) -> str:
        """Name in the progress line."""
        return ".".join(filter(None, (self.entry.name, self.kernel, self.pixel)))

    def compile(self, config_file: Path | None) -> None:
        """Compile the unit, or load it from the cache."""
        loaded = self.entry.load()
        if self.kernel:
            getattr(loaded, self.kernel).compile(self.pixel)
        else:
            loaded(config_file)


def units(config_file: Path | None) -> list[Unit]:
    """Return what to compile for a configuration, or everything if there is none; the longest units come first."""
    functions, kernels = [], []
    for entry in _entries():
        loaded = entry.load()
        if not isinstance(loaded, ModuleType):
            functions.append(Unit(entry))
        elif config_file is None:
            kernels += list(_units_of(entry, loaded))
    return functions + kernels


def compile_units(wanted: Sequence[Unit], config_file: Path | None, progress: Callable[[int, list[str]], None]) -> None:
    """Compile units with one process per core.

    Parameters
    ----------
    progress
        Called a few times a second with the number of finished units and the names of the units in progress.
    """
    n_processes = min(len(os.sched_getaffinity(0)), len(wanted))
    with ProcessPoolExecutor(n_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        begun: dict[Future[None], str] = {pool.submit(unit.compile, config_file): unit.name for unit in wanted}
        left = set(begun)
        while left:
            waiting = [name for future, name in begun.items() if future in left]
            progress(len(begun) - len(left), waiting[:n_processes])
            done, left = wait(left, _LOOK_S, return_when="FIRST_EXCEPTION")
            for future in done:
                future.result()


def main(argv: Sequence[str] | None = None) -> int:
    """Compile, and print how long it took; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m std_daq.native.compilation", description="Compile in advance.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="only what the services of this configuration need")
    config_file: Path | None = parser.parse_args(argv).config
    everything = _name_of_everything()
    if is_compiled(everything):
        return 0
    began_at = time.monotonic()
    if config_file is not None:
        n_units = _compile(config_file)
    else:
        with compiling(everything, is_told=False):
            n_units = _compile(None)
    sys.stdout.write(f"compiled in {time.monotonic() - began_at:.0f} s: {n_units} units\n")
    return 0


def _compile(config_file: Path | None) -> int:
    wanted = units(config_file)
    line = ProgressLine(sys.stderr)
    began_at = time.monotonic()

    def show(n_done: int, names: list[str]) -> None:
        seconds = time.monotonic() - began_at
        line.show(f"compiling, once: {n_done} of {len(wanted)}, {seconds:.0f} s, now {', '.join(names)}")

    compile_units(wanted, config_file, show)
    line.clear()
    return len(wanted)


def _entries() -> list[EntryPoint]:
    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: (entry.name, entry.value))


def _units_of(entry: EntryPoint, module: ModuleType) -> Iterator[Unit]:
    for name, value in vars(module).items():
        if isinstance(value, Kernel) and value.__module__ == module.__name__:
            yield from (Unit(entry, name, pixel) for pixel in value.pixels)


def _name_of_everything() -> str:
    """Return a name for the set of all entries that are installed now."""
    installed = "\n".join(f"{entry.name} {entry.value}" for entry in _entries())
    return f"everything-{hashlib.sha256(installed.encode()).hexdigest()[:16]}"


if __name__ == "__main__":
    sys.exit(main())
