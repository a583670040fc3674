"""For every test: libraries report to nobody, and servers on this machine are reached without a proxy."""

import os
from pathlib import Path

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the services set it themselves, see wire/codec.py
for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
    os.environ.pop(name, None)
    os.environ.pop(name.upper(), None)


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `vergence certs` for the rig demo, shared: do not change it."""
    from deploy.local.certs import make

    folder = tmp_path_factory.mktemp("certs") / "made"
    make(folder)
    return folder
