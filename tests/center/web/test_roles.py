"""The table of the page's routes in SECURITY.md is that of the code."""

from pathlib import Path

from center.web.roles import DOORS, EVERYBODY, roles_of

ROOT = Path(__file__).resolve().parents[3]


def table() -> str:
    """What SECURITY.md says of each route."""
    lines = ["| Route | Who | What |", "|---|---|---|"]
    for door in DOORS:
        who = "everybody" if door.roles is EVERYBODY else ", ".join(sorted(role.value for role in door.roles))
        lines.append(f"| `{door.method} {door.path}` | {who} | {door.text} |")
    return "\n".join(lines) + "\n"


def test_security_md_has_the_table_of_the_code() -> None:
    assert table() in (ROOT / "SECURITY.md").read_text(encoding="utf-8"), f"put this there:\n{table()}"


def test_a_route_that_nobody_has_thought_of_is_nobodys() -> None:
    assert roles_of("GET", "/forgotten") == frozenset()
    assert roles_of("HEAD", "/metrics") == roles_of("GET", "/metrics")
