"""What the build finds out by itself: the folders of the services, and their commands.

A service is one line of ``pyproject.toml``, in the entry points ``std_daq.services``. From it follow the command
``std-<name>``, and the package that goes into the wheel.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

GROUP = "std_daq.services"
USERS_COMMANDS = {
    "std-daq": "std_daq.cli.__main__:main",
    "std-live": "std_daq.cli.__main__:live",
    "std-sim": "std_daq.cli.sim:main",
    "run-conduit": "std_daq.cli.run_conduit:main",
    "gen-conduit-script": "std_daq.cli.gen_conduit_script:main",
    # Rerun finds importers by their names; the second is what versions before 0.32 look for.
    "rerun-importer-merged-file": "std_daq.cli.rerun_importer:main",
    "rerun-loader-merged-file": "std_daq.cli.rerun_importer:main",
}
# Importable in a checkout, and no part of the wheel.
ONLY_IN_A_CHECKOUT = ("benchmarks", "tests/kit")


def service_packages(entry_points: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the package of each service, by the service's name."""
    return {name: place.partition(".")[0] for name, place in entry_points[GROUP].items()}


class ServiceCommands(MetadataHookInterface):
    """Adds the command of each service to the scripts."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in ``scripts``, which is dynamic."""
        packages = service_packages(metadata["entry-points"])
        commands = {f"std-{name}": f"{package}.__main__:main" for name, package in packages.items()}
        metadata["scripts"] = USERS_COMMANDS | commands


class ServicePackages(BuildHookInterface[BuilderConfig]):
    """Puts the package of each service into the wheel; a checkout is given their folders instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Tell the builder what else belongs in."""
        packages = service_packages(self.metadata.core.entry_points).values()
        root = Path(self.root)
        folders = {package: next(root.glob(f"services/*/{package}")) for package in packages}
        if version != "editable":
            build_data["force_include"] |= {str(folder): package for package, folder in folders.items()}
            return
        self._folder = TemporaryDirectory()
        paths = Path(self._folder.name) / "_std_daq_checkout.pth"
        parents = [folder.parent for folder in folders.values()]
        paths.write_text("".join(f"{path}\n" for path in [*parents, *(root / name for name in ONLY_IN_A_CHECKOUT)]))
        build_data["force_include_editable"][str(paths)] = paths.name

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was made for the checkout."""
        if version == "editable":
            self._folder.cleanup()
