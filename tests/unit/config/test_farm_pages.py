"""The pages of the configuration of a farm are made from its model."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from std_daq.config.reference import reference_page
from std_daq.config.system import load_any_config, systems
from std_daq.photons.config import FarmConfig
from std_daq.service.registry import wanted_instances
from std_sim_router.service import SERVICE as ROUTER
from std_sim_worker.service import SERVICE as WORKER

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_schema_and_page_of_a_farm_are_those_of_the_model() -> None:
    """Otherwise: std-daq config schema --system photons > docs/reference/farm.schema.json, and config reference."""
    system = systems()["photons"]
    schema = system.schema()
    assert json.loads((REFERENCE / "farm.schema.json").read_text()) == schema
    page = (REFERENCE / "farm-configuration.md").read_text()
    assert page.rstrip() == reference_page(schema, system.file).rstrip()


def test_farm_is_a_router_and_its_workers(tmp_path: Path) -> None:
    file = tmp_path / "farm.json"
    file.write_text(json.dumps({"name": "tank", "geometry": "tank.json", "n_workers": 2, "threads_per_worker": 3}))
    config = load_any_config(file)
    assert isinstance(config, FarmConfig)
    commands = {one.instance.name: one.command(file).arguments for one in wanted_instances(config)}
    assert sorted(commands) == ["sim-router", "sim-worker-0", "sim-worker-1"]
    assert commands["sim-worker-1"][:4] == ("--config", str(file), "--geometry", "tank.json")
    assert "--threads" in commands["sim-worker-0"]


def test_keys_of_a_farm_go_to_its_router_and_its_workers() -> None:
    given = {"name": "tank", "geometry": "tank.json", "keys": "server.json", "worker_keys": "worker.json"}
    config = FarmConfig.model_validate(given | {"plain_frontend": True})
    (router,) = ROUTER.instances(config)
    assert " --keys server.json --plain-frontend" in " ".join(router.arguments)
    (worker,) = WORKER.instances(config)
    assert " --keys worker.json" in " ".join(worker.arguments)
    with pytest.raises(ValidationError, match="keys and worker_keys go together"):
        FarmConfig.model_validate({"name": "tank", "geometry": "tank.json", "keys": "server.json"})
