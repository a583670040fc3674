"""What every server is told on its command line."""

import argparse
from dataclasses import dataclass

from wire import codec


@dataclass(frozen=True, slots=True)
class Options:
    """Where a server listens, and what and how it decodes.

    port      on 127.0.0.1
    codec     a folder, or the name of a shipped one
    threads   of the decoder
    batch     pairs in a batch at most; 1 is no batching
    delay_ms  how long the first pair of a batch may wait for company
    variant   one more choice of some servers, by a word of theirs
    """

    port: int
    codec: str = codec.DEFAULT
    threads: int = 2
    batch: int = 1
    delay_ms: float = 0.0
    variant: str = ""

    @staticmethod
    def parse(words: list[str] | None = None) -> "Options":
        """words: of the command line; None takes this process's"""
        parser = argparse.ArgumentParser()
        parser.add_argument("--port", type=int, required=True)
        parser.add_argument("--codec", default=codec.DEFAULT)
        parser.add_argument("--threads", type=int, default=2)
        parser.add_argument("--batch", type=int, default=1)
        parser.add_argument("--delay-ms", type=float, default=0.0)
        parser.add_argument("--variant", default="")
        return Options(**vars(parser.parse_args(words)))

    def words(self) -> list[str]:
        """The command line that `parse` reads."""
        return [
            *("--port", str(self.port)),
            *("--codec", self.codec),
            *("--threads", str(self.threads)),
            *("--batch", str(self.batch)),
            *("--delay-ms", str(self.delay_ms)),
            *("--variant", self.variant),
        ]
