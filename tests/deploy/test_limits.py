"""docs/limits.md says what the code does, and forgets no limit that a configuration has."""

import inspect
import re
import resource
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from center.config import CenterConfig
from center.web.connections import Limits
from channel_emulator.config import EmulatorConfig
from deploy.observe import limits
from wire.runtime import grpc_kit

BOUNDS = re.compile(r"(^|_)(max|most|queue|keep|credit|evict|idle|budget|age|patience)(_|$)")
"""What a key is called that bounds something."""
ELSEWHERE = {
    "batching.max_delay_ms": "how long a job waits for company; bounds nothing that a stranger does",
    "pairing.tolerance_ms": "what a pair is",
    "record.max_bytes": "the ring of recordings: docs/recording.md",
    "record.max_age_s": "the same",
}


def keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{before}{name}.")
        else:
            yield before + name


def test_the_page_is_that_of_the_code() -> None:
    text = limits.PAGE.read_text(encoding="utf-8")
    assert limits.BEGIN in text
    assert limits.END in text
    assert text == limits.page(text), "run `make metrics`"


def test_every_key_that_bounds_something_is_in_the_table() -> None:
    bounding = {
        key for model in (CenterConfig, EmulatorConfig) for key in keys(model) if BOUNDS.search(key.rpartition(".")[2])
    }
    assert bounding > {"page.max_connections", "links.credit"}
    assert bounding - limits.keys() - set(ELSEWHERE) == set()
    assert set(ELSEWHERE) <= {*keys(CenterConfig)}


def test_every_limit_has_a_number_and_every_row_is_one_line() -> None:
    rows = [row for door in limits.limits().values() for row in door]
    assert len(rows) > 50
    for row in rows:
        assert re.search(r"[1-9]", row.shown), row
        assert not set("|\n") & set(row.what + row.over + row.shown), row


@pytest.mark.parametrize("files", [256, 1024, 4096, 65536])
def test_the_page_and_grpc_together_leave_a_quarter_of_the_files(files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def limit(which: int) -> Any:
        return files, files

    monkeypatch.setattr(resource, "getrlimit", limit)
    taken = grpc_kit.most_connections() + Limits(most=10**6).within_files().most
    assert taken <= 3 * files // 4
