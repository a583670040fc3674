"""For every test: libraries report to nobody, whichever module imports them first."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the services set it themselves, see wire/codec.py
