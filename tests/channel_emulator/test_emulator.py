import socket

import pytest

from channel_emulator.config import EmulatorConfig
from channel_emulator.emulator import Emulator
from wire.runtime.errors import UserError


async def test_an_emulator_that_is_pointed_at_itself_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config = EmulatorConfig.model_validate({"listen": f"127.0.0.1:{port}", "upstream": f"localhost:{port}"})
    with pytest.raises(UserError, match=rf"upstream localhost:{port} is this channel emulator itself"):
        await Emulator(config).start()
