"""`vergence-emulator run|check-config --config FILE`; `python -m channel_emulator` does the same from a checkout."""

import sys

from channel_emulator.config import EmulatorConfig
from channel_emulator.emulator import run
from wire.runtime.service import Service


def main() -> int:
    return Service("emulator", EmulatorConfig, run).main()


if __name__ == "__main__":
    sys.exit(main())
