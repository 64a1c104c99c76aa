"""Make a map: how likely a photon from each voxel of a detector hits each channel.

A voxel's photons start evenly within it, into all directions, unpolarised. All of them count, also those that start
outside the detector or in a sensor. The same command goes on where it was stopped; with more --photons it adds to what
there is. With --router, a farm simulates; the map is the same to the bit.
"""

import argparse
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_number
from std_daq.cli.path_checks import check_output_file
from std_daq.cli.sim_options import add_in_flight_option, add_keys_option, client_at, seed_number
from std_daq.errors import EXIT_DONE, ArgumentError
from std_daq.number_arguments import finite_number
from std_daq.photons.engine import NAMES
from std_daq.photons.service_options import number_from_zero, positive_int

if TYPE_CHECKING:
    from collections.abc import Iterator

    from std_daq.photons.backend import Backend
    from std_daq.photons.maps.light import VoxelLight
    from std_daq.photons.maps.simulation import Simulate
    from std_daq.photons.sim_client import SimClient

_MAX_PHOTONS = 2**32 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("geometry", type=Path, metavar="GEOMETRY", help="the geometry file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MAP.h5", help="the map; one that is there goes on"
    )
    parser.add_argument(
        "--voxel-mm", type=positive_number, required=True, metavar="MM", help="length of the sides of a voxel"
    )
    parser.add_argument(
        "--photons", type=_photons, default=100_000, metavar="N", help="of each voxel; by default %(default)s"
    )
    parser.add_argument(
        "--region", type=finite_number, nargs=6, metavar=("X0", "Y0", "Z0", "X1", "Y1", "Z1"),
        help="lower and upper corner in mm; by default the box around the detector",
    )  # fmt: skip
    light = parser.add_mutually_exclusive_group()
    light.add_argument(
        "--wavelength", type=positive_number, default=400.0, metavar="NM", help="of the light; by default %(default)g"
    )
    light.add_argument(
        "--spectrum", metavar="MATERIAL",
        help="light as this material emits it; MATERIAL.N for its component N where there are several",
    )  # fmt: skip
    parser.add_argument(
        "--seed",
        type=seed_number,
        default=0,
        metavar="N",
        help="another one gives other photons; by default %(default)s",
    )
    parser.add_argument(
        "--router", metavar="ADDRESS",
        help="let a farm simulate: where its router, or a standalone worker, takes clients",
    )  # fmt: skip
    parser.add_argument(
        "--worker-seed",
        type=seed_number,
        default=0,
        metavar="N",
        help="the --seed of the workers; by default %(default)s",
    )
    add_in_flight_option(parser)
    add_keys_option(parser)
    parser.add_argument("--backend", choices=NAMES, default="auto", help="engine; by default %(default)s")
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="of the engine of this machine; by default all cores"
    )
    parser.add_argument(
        "--device", type=number_from_zero, default=0, metavar="N", help="GPU of the engine; by default %(default)s"
    )
    parser.add_argument("--progress", action="store_true", help="show a bar even if standard error is no terminal")


def run(arguments: argparse.Namespace) -> int:
    """Make the map; returns the exit code."""
    from h5py import is_hdf5

    from std_daq.photons.engine import open_backend
    from std_daq.photons.maps.make_map import make_map
    from std_daq.photons.maps.plan import plan_map

    check_output_file(arguments.output, "--output", [arguments.geometry])
    if arguments.output.exists() and not is_hdf5(arguments.output):
        raise ArgumentError(
            "--output", "the file exists, and is no map", value=arguments.output, remedy="give another name"
        )
    client = None if arguments.router is None else client_at("--router", arguments.router, arguments)
    plan = plan_map(
        arguments.geometry,
        region=arguments.region,
        voxel_mm=arguments.voxel_mm,
        light=arguments.spectrum or arguments.wavelength,
        seed=arguments.seed,
        worker_seed=arguments.worker_seed,
    )
    backend = open_backend(
        arguments.geometry,
        seed=arguments.worker_seed,
        name=arguments.backend,
        n_threads=arguments.threads,
        device=arguments.device,
    )
    with _simulation(arguments, plan.light, backend, client) as simulate:
        made = make_map(
            arguments.output,
            plan,
            n_photons=arguments.photons,
            simulate=simulate,
            is_shown=arguments.progress or sys.stderr.isatty(),
        )
    print(
        f"{arguments.output}: {made.n_simulated} voxels simulated, {made.n_there} were there, "
        f"{arguments.photons} photons each, {len(plan.channels.types)} channels"
    )
    return EXIT_DONE


@contextmanager
def _simulation(
    arguments: argparse.Namespace, light: "VoxelLight", backend: "Backend", client: "SimClient | None"
) -> "Iterator[Simulate]":
    """Yield what simulates: the engine of this machine, or the farm of the client."""
    from std_daq.photons.maps.simulation import check_farm, simulate_by_farm, simulate_here

    if client is None:
        yield partial(simulate_here, light, backend)
        return
    with client:
        check_farm(light, client, backend)
        yield partial(simulate_by_farm, light, client, arguments.in_flight)


def _photons(text: str) -> int:
    value = positive_int(text)
    if value > _MAX_PHOTONS:
        raise argparse.ArgumentTypeError(f"{value} is more than {_MAX_PHOTONS}")
    return value
