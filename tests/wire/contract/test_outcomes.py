"""The closed sets of words are those that the contract's comments list and the sources use."""

import re
from pathlib import Path

from wire.contract.outcomes import REASONS, STAGES

ROOT = Path(__file__).resolve().parents[3]
PROTO = (ROOT / "proto/vergence/v1/symbol_link_service.proto").read_text(encoding="utf-8")
SOURCES = [path for name in ("edge", "channel_emulator", "center") for path in (ROOT / name).rglob("*.py")]


def listed(field: str) -> set[str]:
    """The words that the comment of a field lists after `from a fixed list:`."""
    (comment,) = re.findall(rf"((?: *//[^\n]*\n)+) *string {field} = ", PROTO.partition("message Drain")[0])
    words = re.search(r"[Ff]rom a fixed list: ([^.]+)\.", " ".join(re.findall(r"// ?([^\n]*)", comment)))
    assert words, field
    return set(words.group(1).replace("\n", " ").split(", "))


def test_the_contract_lists_the_reasons() -> None:
    assert listed("reason") == REASONS


def test_the_contract_lists_the_stages() -> None:
    assert listed("stage") == set(STAGES)


def test_senders_time_no_other_stage() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    used = {stage for text in texts for stage in re.findall(r"(?:StageTime|stages\.add)\(stage=\"(\w+)\"", text)}
    assert used == set(STAGES)


def test_each_reason_is_explained() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    section = page.partition("## Frames: reasons")[2].partition("What the answer says")[0]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    explained = {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}
    assert explained - {"decoder", "replica"} == REASONS, "these two are counted at the center only"
