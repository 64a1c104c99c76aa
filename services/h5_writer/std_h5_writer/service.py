"""Description of h5_writer for the platform: its processes and its options."""

import argparse

from std_daq.errors import ConfigError
from std_daq.recording.config import RecordingConfig
from std_daq.service.description import Instance, ServiceDescription
from std_daq.service.number_arguments import integer


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--writer",
        type=integer,
        default=0,
        metavar="INDEX",
        help="index of this writer, from 0 to number_of_writers - 1",
    )


def _instances(config: RecordingConfig) -> list[Instance]:
    return [Instance(f"h5-writer-{index}", ("--writer", str(index))) for index in range(config.number_of_writers)]


def _instance_of(arguments: argparse.Namespace, config: RecordingConfig) -> str:
    if not 0 <= arguments.writer < config.number_of_writers:
        raise ConfigError(
            f"there is no writer {arguments.writer}",
            key="number_of_writers",
            value=config.number_of_writers,
            remedy=f"--writer takes 0 to {config.number_of_writers - 1}",
        )
    return f"h5-writer-{arguments.writer}"


SERVICE = ServiceDescription(
    name="h5-writer",
    package="std_h5_writer",
    summary="Writes the images, or the events, of a run from their ring into files.",
    config=RecordingConfig,
    instances=_instances,
    add_arguments=_add_arguments,
    instance_of=_instance_of,
)
