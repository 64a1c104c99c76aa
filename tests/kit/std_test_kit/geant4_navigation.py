"""What Geant4's navigator finds along rays. Run as a program: Geant4 is not left running in a process of tests.

Its input, after the line that answers Geant4's question at import, is JSON: ``file`` and ``rays`` (origin, direction).
Its last line of output is JSON: for each ray the materials along it with the distances where they begin.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MISSING = "geant4-pybind is not installed: nothing here is compared with Geant4 (pip install geant4-pybind)"

Media = list[tuple[float, str]]


def is_installed() -> bool:
    """Whether Geant4 is there to compare with."""
    return find_spec("geant4_pybind") is not None


def media_of_geant4(file: Path, rays: list[tuple[list[float], list[float]]]) -> list[Media]:
    """Return the materials along rays, neighbours of one material as one."""
    request = "n\n" + json.dumps({"file": file.name, "rays": rays})  # no data sets are needed
    command = [sys.executable, "-m", "std_test_kit.geant4_navigation"]
    done = subprocess.run(
        command, input=request, capture_output=True, text=True, cwd=file.parent, check=False, timeout=100
    )
    if done.returncode:
        raise RuntimeError(f"Geant4 ended with {done.returncode}: {done.stdout[-2000:]}")
    return [[(distance, name) for distance, name in media] for media in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Answer one request."""
    os.environ.pop("CI", None)  # where it is set, geant4-pybind downloads its data sets and does not ask
    import geant4_pybind as g4

    question: dict[str, Any] = json.loads(sys.stdin.readline())
    parser = g4.G4GDMLParser()
    parser.Read(question["file"], False)
    navigator = g4.G4Navigator()
    navigator.SetWorldVolume(parser.GetWorldVolume())
    sys.stdout.write(json.dumps([_media(g4, navigator, *ray) for ray in question["rays"]]) + "\n")


def _media(g4: Any, navigator: Any, origin: list[float], direction: list[float]) -> Media:
    place, along = g4.G4ThreeVector(*origin), g4.G4ThreeVector(*direction)
    volume = navigator.LocateGlobalPointAndSetup(place, along, False, False)
    media: Media = []
    distance = 0.0
    while volume is not None:
        name = volume.GetLogicalVolume().GetMaterial().GetName()
        if not media or media[-1][1] != name:
            media.append((distance, name))
        step = navigator.ComputeStep(place, along, 1e9, 0.0)
        distance += step
        place = g4.G4ThreeVector(
            *(start + step * one for start, one in zip(_numbers(place), _numbers(along), strict=True))
        )
        navigator.SetGeometricallyLimitedStep()
        volume = navigator.LocateGlobalPointAndSetup(place, along, True)
    return media


def _numbers(vector: Any) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


if __name__ == "__main__":
    main()
