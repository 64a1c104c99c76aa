"""The page on the broker tells the rights that `std_daq.rabbitmq.roles` has."""

import re
from collections.abc import Iterator
from pathlib import Path

from std_daq.rabbitmq.roles import NOTHING, Role, all_roles

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "broker.md"


def rights_table() -> str:
    lines = ["| user | who | configure | write | read | routing keys |", "|---|---|---|---|---|---|"]
    for role in all_roles(["TAG"]):
        rights = (cell(right) for right in (role.configure, role.write, role.read))
        lines.append(f"| `{role.name}` | {role.purpose} | {' | '.join(rights)} | {'<br>'.join(keys(role))} |")
    return "\n".join(lines)


def keys(role: Role) -> Iterator[str]:
    for exchange, rights in role.topics.items():
        for verb, right in (("write", rights.write), ("bind", rights.read)):
            if right != NOTHING:
                yield f"{exchange}: {verb} {cell(right)}"


def cell(right: str) -> str:
    return "-" if right == NOTHING else f"`{right.replace('|', chr(92) + '|')}`"


def test_page_has_the_rights_of_each_role() -> None:
    """Otherwise: put `rights_table()` there."""
    page = PAGE.read_text()
    found = re.search(r"test_broker_page\.py -->\n((?:\|.*\n)+)", page)
    assert found is not None
    assert found[1].strip() == rights_table()
