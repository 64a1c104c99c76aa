"""The tables of metrics in the pages; ``python -m std_test_kit.metric_pages`` writes their copy in the package anew."""

import json
import re
from dataclasses import asdict
from pathlib import Path

from std_daq.telemetry.metric_catalogue import DescribedMetric

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
CATALOGUE = ROOT / "std_daq" / "telemetry" / "metrics.json"
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/README.md"))
_ROW = re.compile(r"^\| `(daq_\w+)` \| (\w+) \|([^|]*)\| (.*) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def page_of(service: str) -> Path:
    """Return the page of a service, given the name of its folder."""
    return ROOT / "services" / service / "README.md"


def described_in(page: Path, heading: str = "Metrics", services: tuple[str, ...] = ()) -> dict[str, DescribedMetric]:
    """Return the metrics in a section of a page by name; ``services`` are those that show them."""
    section = page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {
        name: DescribedMetric(name, kind, tuple(re.findall(r"`(\w+)`", labels)), _plain(meaning), services)
        for name, kind, labels, meaning in _ROW.findall(section)
    }


def described_everywhere() -> list[DescribedMetric]:
    """Return the metrics of all pages, each once, with the names of all services that show it."""
    found = described_in(PAGE, "All services")
    for folder in SERVICES:
        for name, metric in described_in(page_of(folder), services=(folder.replace("_", "-"),)).items():
            known = found.get(name)
            services = (*known.services, *metric.services) if known else metric.services
            found[name] = DescribedMetric(name, metric.type, metric.labels, metric.meaning, services)
    return list(found.values())


def catalogue_text() -> str:
    """Return the contents that the catalogue in the package has to have."""
    lines = ",\n".join(json.dumps(asdict(metric), ensure_ascii=False) for metric in described_everywhere())
    return f"[\n{lines}\n]\n"


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text).replace("`", "")


if __name__ == "__main__":
    CATALOGUE.write_text(catalogue_text())
