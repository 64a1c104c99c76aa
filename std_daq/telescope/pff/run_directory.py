"""Finds the files of a run: which run of a module is the newest, and which files each of its products has.

::

    data_dir/module_1/obs_Lick.start_2024-07-25T04:34:06Z.runtype_sci-data.pffd/start_....dp_img16.bpp_2....seqno_0.pff
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from std_daq.telescope.pff.file_name import parse_name

_MODULE_FOLDER = re.compile(r"module_(\d{1,5})")
_RUN_PREFIX = "obs_"
# The clock of a file system may stand still for some milliseconds: a folder that has changed just now may change again
# and look the same.
_SETTLED_NS = 1_000_000_000
_N_NEWEST = 3


class FolderListing:
    """The entries of a folder that are wanted; it is read again only when it has changed.

    Parameters
    ----------
    path
        The folder; it need not exist.
    wants
        Returns whether an entry of this name is wanted.
    """

    def __init__(self, path: Path, wants: Callable[[str], bool]) -> None:
        self.path = path
        self._wants = wants
        self._changed_ns: int | None = None
        self._names: list[str] = []

    def names(self) -> list[str]:
        """Return the names of the wanted entries; of a folder that is gone there are none.

        Of a folder that cannot be read now, they are those of the last time.
        """
        try:
            changed_ns = self.path.stat().st_mtime_ns
            if changed_ns != self._changed_ns:
                with os.scandir(self.path) as entries:
                    self._names = sorted(entry.name for entry in entries if self._wants(entry.name))
                self._changed_ns = changed_ns if time.time_ns() - changed_ns > _SETTLED_NS else None
        except (FileNotFoundError, NotADirectoryError):
            self._names, self._changed_ns = [], None
        except OSError:
            self._changed_ns = None
        return self._names


class PlacedFile(NamedTuple):
    """A PFF file with its place among those of its product; files sort in the order in which they are written."""

    start: str
    seqno: int
    path: Path


class PffRun:
    """The PFF files of one run of one module, by product and in the order in which they are written.

    Parameters
    ----------
    path
        Folder of the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listing = FolderListing(path, lambda name: name.endswith(".pff"))
        self._names: list[str] = []
        self._by_product: dict[str, list[PlacedFile]] = {}

    def by_product(self) -> dict[str, list[PlacedFile]]:
        """Return the files of each product, the oldest first."""
        names = self._listing.names()
        if names != self._names:
            self._names = names
            found: dict[str, list[PlacedFile]] = {}
            for file_name in names:
                name = parse_name(file_name)
                if name.product is not None:
                    placed = PlacedFile(name.start or "", name.seqno, self.path / file_name)
                    found.setdefault(name.product.name, []).append(placed)
            self._by_product = {product: sorted(files) for product, files in sorted(found.items())}
        return self._by_product

    def written_ns(self) -> int:
        """Return when the run was last written to; 0 if it is gone.

        That is the time of its newest frames: another program may add a file of its own to a run that has ended.
        """
        newest = [files[-1].path for files in self.by_product().values()]
        return max(_changed_ns(path) for path in newest or [self.path])


class ModuleRuns:
    """The runs of one module.

    Parameters
    ----------
    path
        Folder of the module.
    """

    def __init__(self, path: Path) -> None:
        self._listing = FolderListing(path, lambda name: name.startswith(_RUN_PREFIX))
        self._names: list[str] = []
        self._newest: list[PffRun] = []

    def newest(self) -> PffRun | None:
        """Return the run that was written to last; None if there is no run.

        Thousands of old runs may lie there. So all are looked at only when one was added, and otherwise the newest few.
        """
        names = self._listing.names()
        if names != self._names:
            self._names = names
            known = {run.path.name: run for run in self._newest}
            runs = [known.get(name) or PffRun(self._listing.path / name) for name in names]
            self._newest = sorted(runs, key=_age, reverse=True)[:_N_NEWEST]
        return max(self._newest, key=_age, default=None)

    def paths(self) -> list[Path]:
        """Return the folders of all runs."""
        return [self._listing.path / name for name in self._names]


class RunDirectory:
    """The folder in which all modules store their runs.

    Parameters
    ----------
    data_dir
        The folder; it need not exist.
    module_ids
        The modules that are wanted; none stands for all.
    """

    def __init__(self, data_dir: Path, module_ids: Iterable[int] = ()) -> None:
        self.path = data_dir
        self._wanted = frozenset(module_ids)
        self._listing = FolderListing(data_dir, self._is_wanted_module)
        self._modules: dict[int, ModuleRuns] = {}

    def newest_runs(self) -> dict[int, PffRun]:
        """Return the run of each module that was written to last."""
        names = {int(name.removeprefix("module_")): name for name in self._listing.names()}
        self._modules = {
            module_id: self._modules.get(module_id) or ModuleRuns(self.path / name) for module_id, name in names.items()
        }
        newest = {module_id: module.newest() for module_id, module in self._modules.items()}
        return {module_id: run for module_id, run in newest.items() if run is not None}

    def run_paths(self) -> set[Path]:
        """Return the folders of all runs that the last look has found."""
        return {path for module in self._modules.values() for path in module.paths()}

    def _is_wanted_module(self, name: str) -> bool:
        found = _MODULE_FOLDER.fullmatch(name)
        return found is not None and (not self._wanted or int(found[1]) in self._wanted)


def _age(run: PffRun) -> tuple[int, str]:
    return run.written_ns(), run.path.name


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
