"""What is in the wheel and in the sources."""

import configparser
import tarfile
import tomllib
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
SERVICES = sorted(folder.name for folder in PROJECT.glob("services/*/std_*"))


def test_wheel_holds_the_package_its_services_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
    (info,) = {file.partition("/")[0] for file in files if ".dist-info/" in file}
    assert {file.partition("/")[0] for file in files} == {"std_daq", *SERVICES, info}
    assert f"{info}/licenses/LICENSE" in files
    assert all(f"{package}/py.typed" in files for package in ["std_daq", *SERVICES])
    modules = {file for file in files if file.endswith(".py")}
    folders = [PROJECT / "std_daq", *PROJECT.glob("services/*/std_*")]
    assert modules == {str(file.relative_to(folder.parent)) for folder in folders for file in folder.rglob("*.py")}


def test_wheel_names_every_command_and_entry_point(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (file,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        entries = configparser.ConfigParser(delimiters=("=",))
        entries.read_string(archive.read(file).decode())
    for group, wanted in PYPROJECT["entry-points"].items():
        assert dict(entries[group]) == wanted
    commands = {f"std-{name}" for name in PYPROJECT["entry-points"]["std_daq.services"]}
    for_users = {"std-daq", "std-live", "std-sim", "run-conduit", "gen-conduit-script"}
    for_rerun = {"rerun-importer-merged-file", "rerun-loader-merged-file"}
    assert set(entries["console_scripts"]) == for_users | for_rerun | commands


def test_sources_hold_what_builds_and_checks_them(packages: Path) -> None:
    (sources,) = packages.glob("*.tar.gz")
    with tarfile.open(sources) as archive:
        folders = {"/".join(name.split("/")[1:2]) for name in archive.getnames()}
    assert {"std_daq", "services", "tests", "docs", "LICENSE", "CHANGELOG.md", "hatch_build.py", "PKG-INFO"} <= folders
