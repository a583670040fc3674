"""For every test: libraries report to nobody, and servers on this machine are reached without a proxy."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the services set it themselves, see wire/codec.py
for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
    os.environ.pop(name, None)
    os.environ.pop(name.upper(), None)
