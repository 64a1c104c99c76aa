"""FreshEnvironment: a virtual environment into which std-daq is installed as users install it."""

import json
import os
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

INSTALL_TIMEOUT_S = 600.0
# They lead to a checkout, or to what was compiled in one.
_KEPT_BACK = ("PYTHON", "VIRTUAL_ENV", "NUMBA", "STD_DAQ")


@dataclass(frozen=True, slots=True)
class FreshEnvironment:
    """An environment outside every checkout.

    Parameters
    ----------
    folder
        Where it is made, and where its commands are run.
    """

    folder: Path

    @property
    def commands(self) -> Path:
        """The folder of its commands."""
        return self.folder / "bin"

    def variables(self, **more: str) -> dict[str, str]:
        """Return the variables of its commands, in which nothing leads to a checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_BACK)}
        path = f"{self.commands}:{os.defpath}:/usr/sbin"
        return kept | {"PATH": path, "XDG_CACHE_HOME": str(self.folder / "cache")} | more

    def install(self, requirement: str, constraints: Path) -> None:
        """Make the environment, and install a requirement from the index with ``pip --constraint``."""
        venv.create(self.folder, with_pip=True, symlinks=True)
        pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        done = self.run(*pip, "--constraint", str(constraints), requirement, timeout_s=INSTALL_TIMEOUT_S)
        if done.returncode != 0:
            raise AssertionError(f"{requirement} was not installed:\n{done.stderr}")

    def run(self, *command: str, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a command of the environment to its end."""
        return subprocess.run(
            [self.commands / command[0], *command[1:]],
            cwd=self.folder,
            env=self.variables(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def distributions(self) -> dict[str, str]:
        """Return what is installed, with versions."""
        listed = self.run("python", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check")
        return {one["name"].lower(): one["version"] for one in json.loads(listed.stdout)}
