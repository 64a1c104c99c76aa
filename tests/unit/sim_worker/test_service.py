"""What the platform knows of the workers of a farm."""

from pathlib import Path

from std_daq.photons.config import FarmConfig
from std_sim_worker.service import SERVICE


def devices_of(config: FarmConfig) -> list[str]:
    arguments = [instance.arguments for instance in SERVICE.instances(config)]
    return [one[one.index("--device") + 1] for one in arguments]


def test_workers_of_a_farm_take_its_gpus_in_turn() -> None:
    farm = FarmConfig(name="tank", geometry=Path("tank.json"), engine="cuda", n_workers=5, n_gpus=2)
    assert devices_of(farm) == ["0", "1", "0", "1", "0"]
    assert devices_of(FarmConfig(name="tank", geometry=Path("tank.json"), n_workers=2)) == ["0", "0"]
