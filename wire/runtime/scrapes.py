"""Bounds of the metrics port: it is for one Prometheus or a few, and must not use up what cameras need.

The library serves each connection in a thread of its own, without end and without a time: silent sockets would take
every file that the process may open.
"""

import contextlib
import socketserver
import threading
from typing import Any, Final, cast

MOST_SCRAPES: Final = 16
"""Connections to the metrics port at once; further ones are closed."""
SCRAPE_SECONDS: Final = 10.0
"""For which a client of the metrics port may be silent, or leave the answer unread."""


def bound(server: socketserver.ThreadingMixIn, most: int = MOST_SCRAPES, seconds: float = SCRAPE_SECONDS) -> None:
    """Bound a server that runs already.

    most     connections at once
    seconds  without a byte after which one is closed
    """
    free = threading.Semaphore(most)
    serving = cast(Any, server)
    begin, serve, end = serving.process_request, serving.process_request_thread, serving.shutdown_request

    def process_request(request: Any, client: Any) -> None:
        if not free.acquire(blocking=False):
            end(request)
            return
        request.settimeout(seconds)
        try:
            begin(request, client)
        except BaseException:  # no thread can be had
            free.release()
            raise

    def process_request_thread(request: Any, client: Any) -> None:
        try:
            with contextlib.suppress(OSError):  # a client that is gone or too slow is no news
                serve(request, client)
        finally:
            free.release()

    serving.process_request, serving.process_request_thread = process_request, process_request_thread
    serving.handle_error = lambda *_: None  # it would print a traceback for each client that is cut off
