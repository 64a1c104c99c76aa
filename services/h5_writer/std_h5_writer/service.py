"""Description of h5_writer for the platform: its processes and its options."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.number_arguments import integer
from std_daq.recording.config import RecordingConfig
from std_daq.service.checks import Check
from std_daq.service.description import Instance, ServiceDescription
from std_daq.service.host_access import HostAccess


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


def _check_files(config: RecordingConfig) -> None:
    from std_daq.recording.file_access import FileAccess
    from std_daq.recording.output_roots import check_output_roots
    from std_daq.recording.own_process import run_apart
    from std_h5_writer.file_owner import FileOwner, check_users

    def check(_: Callable[[], None]) -> None:
        check_users(config.writer.users)
        owner = FileOwner(config.writer_user_id, FileAccess.of_config(config.writer), config.writer.output_roots)
        check_output_roots(config, owner.access, owner.identity())

    if config.writer_user_id in {None, os.geteuid()}:
        check(lambda: None)
    else:  # as another user, with the groups of that user, which this process must not keep
        run_apart(check, Path("writer.output_roots"))


FILES = Check(subject="output folders", run=_check_files, is_of_machine=True, is_part_of_start=True)

_GROUP_BIT = 0o2000


def _host_access(config: RecordingConfig) -> HostAccess:
    writer = config.writer
    return HostAccess(
        writes=tuple(writer.output_roots),
        is_bound_to=bool(writer.output_roots),
        user_id=config.writer_user_id,
        groups=() if writer.group is None else (writer.group,),
        acts_as_others=bool(writer.users),
        sets_group_bit=writer.folder_mode is not None and bool(int(writer.folder_mode, 8) & _GROUP_BIT),
    )


SERVICE = ServiceDescription(
    name="h5-writer",
    package="std_h5_writer",
    summary="Writes the images, or the events, of a run from their ring into files.",
    config=RecordingConfig,
    instances=_instances,
    checks=(FILES,),
    add_arguments=_add_arguments,
    instance_of=_instance_of,
    host_access=_host_access,
)
