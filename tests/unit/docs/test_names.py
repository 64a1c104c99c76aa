"""The rules of names that a listing can check; the others are in decision 36."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[3]
BOUND = re.compile(r"_?(MOST|LARGEST|LONGEST|WIDEST|HIGHEST|LEAST|SMALLEST|SHORTEST|FEWEST|LOWEST)_")


def shipped_modules() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ("std_daq", "services"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            yield file.relative_to(PROJECT), ast.parse(file.read_text())


def test_public_class_name_stands_for_one_class() -> None:
    places = defaultdict(list)
    for file, module in shipped_modules():
        for node in module.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(file))
    assert len(places) > 100
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_bounds_are_called_max_and_min() -> None:
    assigned = [
        f"{file}: {node.id}"
        for file, module in shipped_modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    assert len(assigned) > 1000
    assert [name for name in assigned if BOUND.match(name.split()[-1])] == []
