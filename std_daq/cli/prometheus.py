"""Write what Prometheus needs to watch systems: the rules for alerts, and where each service answers.

Example: std-daq prometheus --config detector.json --output /etc/prometheus

The folder gets std-daq-alerts.yml, std-daq-targets.json, and prometheus.yml unless it has one. Run the command again
after a change of the configuration: Prometheus reads new targets by itself.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.shared_options import add_json_option
from std_daq.errors import ArgumentError, ConfigError

if TYPE_CHECKING:
    from std_daq.config.platform import PlatformConfig

ALERTS, TARGETS, MAIN = "std-daq-alerts.yml", "std-daq-targets.json", "prometheus.yml"
_MAIN_TEXT = f"""\
global: {{scrape_interval: 5s, evaluation_interval: 5s}}
rule_files: [{ALERTS}]
scrape_configs:
  - job_name: std-daq # by which the rules know the services
    file_sd_configs: [{{files: [{TARGETS}]}}]
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--config",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="the configurations of the systems to watch, for example detector.json",
    )
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="FOLDER", help="the folder; by default the present one"
    )
    parser.add_argument(
        "--target",
        metavar="HOST:PORT",
        help="where the services answer, with {instance} for the name of each, for example {instance}:8080 in the "
        "network of the containers; by default metrics.address and metrics.ports of the configuration",
    )
    add_json_option(parser, "print the paths of the files as a JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Write the files; returns the exit code."""
    from importlib.resources import files

    from std_daq.cli.path_checks import check_output_folder
    from std_daq.config.system import load_any_config

    check_output_folder(arguments.output, "--output")
    targets = []
    for file in arguments.config:
        try:
            targets += targets_of(load_any_config(file), arguments.target)
        except ConfigError as error:
            raise error if error.file else error.in_file(file) from None
    arguments.output.mkdir(parents=True, exist_ok=True)
    others = _targets_of_others(arguments.output / TARGETS, {target["labels"]["detector"] for target in targets})
    targets = [*others, *targets]
    texts = {
        ALERTS: (files("std_daq.telemetry") / "alerts.yml").read_text(),
        TARGETS: json.dumps(targets, indent=2) + "\n",
    }
    kept = sorted({str(target["labels"]["detector"]) for target in others})
    if kept:
        print(
            f"{arguments.output / TARGETS} keeps the targets of {', '.join(kept)}, which this call does not name",
            file=sys.stderr,
        )
    if not (arguments.output / MAIN).exists():
        texts[MAIN] = _MAIN_TEXT
    for name, text in texts.items():
        (arguments.output / name).write_text(text)
    if arguments.json:
        print(json.dumps([str(arguments.output / name) for name in texts], indent=2))
        return 0
    for name in texts:
        print(arguments.output / name)
    if MAIN not in texts:
        print(
            f"{arguments.output / MAIN} is left as it is; it needs this:\n\n{_MAIN_TEXT.split(chr(10), 1)[1]}", end=""
        )
    return 0


def _targets_of_others(file: Path, named: set[str]) -> list[dict[str, Any]]:
    """Return the targets in a file of an earlier call that belong to systems which this one does not name."""
    try:
        found = json.loads(file.read_text())
        return [target for target in found if target["labels"]["detector"] not in named]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError):
        raise ConfigError("was not written by 'std-daq prometheus'", file=file, remedy="move the file away") from None


def targets_of(config: "PlatformConfig", target: str | None) -> list[dict[str, Any]]:
    """Return the targets of a system, in the form of Prometheus' file_sd_configs.

    Parameters
    ----------
    config
        Configuration of the system.
    target
        Host and port of every service, with ``{instance}`` for its name; None: those of the configuration.

    Raises
    ------
    ArgumentError
        ``target`` would be the same for several services.
    ConfigError
        ``target`` is None, and the configuration leaves the port of a service to chance.
    """
    from collections import Counter

    from std_daq.service.registry import wanted_instances

    wanted = wanted_instances(config)
    n_of = Counter(one.service.name for one in wanted)
    # A compose file calls the only process of a service by the name of the service.
    names = {one.instance.name: one.instance.name if n_of[one.service.name] > 1 else one.service.name for one in wanted}
    if target is None:
        places = _configured_places(config, list(names))
    else:
        places = {instance: target.replace("{instance}", name) for instance, name in names.items()}
        if len(set(places.values())) < len(places):
            raise ArgumentError(
                "--target", f"{target} is one place for {len(places)} services", remedy="put {instance} into it"
            )
    return [
        {"targets": [place], "labels": {"detector": config.name, "service": instance}}
        for instance, place in places.items()
    ]


def _configured_places(config: "PlatformConfig", instances: list[str]) -> dict[str, str]:
    from std_daq.telemetry.endpoint import url_host

    ports = config.metrics.ports
    missing = [instance for instance in instances if not ports.get(instance)]
    if missing:
        raise ConfigError(
            f"no port of {', '.join(missing)}: the services would choose others at each start",
            key="metrics.ports",
            remedy=f'give each one a port, for example {{"{missing[0]}": 9101}}, or use --target in containers',
        )
    return {instance: f"{url_host(config.metrics.address)}:{ports[instance]}" for instance in instances}
