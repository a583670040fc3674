"""A center and an emulator behind locked doors, with a decoder that takes no time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from center.config import CenterConfig
from center.decode.engines import Batch
from center.service import Center
from channel_emulator.config import EmulatorConfig
from channel_emulator.emulator import Emulator
from deploy.observe.doors import STRANGER
from tests import locked
from wire.security import tokens
from wire.security.keyring import Keyring
from wire.security.tokens import Role


class GreyEngine:
    name, codec_hash = "grey", "cafe"

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        return np.zeros((len(batch), 2, 3, batch.size.rows, batch.size.columns), np.float32)


@dataclass
class House:
    """A center and an emulator behind locked doors, and the tokens of everybody."""

    center: Center
    emulator: Emulator
    addresses: dict[str, str]
    tokens: dict[str, str]
    keys: Keyring


@pytest.fixture(scope="module")
def token_of(certs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """Tokens by caller, and the book that knows them; one has expired."""
    expired = tokens.new_token()
    made = {role.value: (certs / role.value / "token").read_text().strip() for role in Role if role is not Role.CAMERA}
    made |= {
        "camera": (certs / "demo-left" / "token").read_text().strip(),
        STRANGER: (certs / "demo-right" / "token").read_text().strip(),
        "no token": "",
        "unknown token": tokens.new_token(),
        "expired": expired,
    }
    keys = f"name: former, role: camera, rig: demo, sha256: '{tokens.digest(expired).hex()}', expires: 2020-01-01"
    book = tmp_path_factory.mktemp("book") / "tokens.yaml"
    book.write_text((certs / "tokens.yaml").read_text() + f"  - {{{keys}}}\n", encoding="utf-8")
    return made, book


@pytest.fixture
async def house(certs: Path, token_of: tuple[dict[str, str], Path]) -> AsyncIterator[House]:
    made, book = token_of
    security = {name: {**locked.section(certs / name), "tokens": str(book)} for name in ("center", "emulator")}
    common = {"listen": "127.0.0.1:0"}
    center_config = {**common, "emulator": "", "page": {"port": 0}, "drain_s": 0.2, "security": security["center"]}
    center = Center(CenterConfig.model_validate(center_config), GreyEngine())
    await center.start()
    at = f"127.0.0.1:{center.port}"
    links = [{"rig": "demo", "view": "left"}]
    emulator_config = {**common, "upstream": at, "drain_seconds": 0.3, "security": security["emulator"], "links": links}
    emulator = Emulator(EmulatorConfig.model_validate(emulator_config))
    addresses = {"center": at, "emulator": f"127.0.0.1:{await emulator.start()}"}
    try:
        yield House(center, emulator, addresses, made, locked.keys(certs / "viewer"))
    finally:
        await emulator.stop()
        await center.stop()
