"""Connections that pass no proxy: the configuration says where services are, `http_proxy` and its kin say nothing.

A company's proxy stands in the environment of most of its machines for the sake of browsers and installers. gRPC and
urllib would take it even for 127.0.0.1 and then reach nobody.
"""

import ssl
import urllib.request
from http.client import HTTPResponse
from typing import Final

CHANNEL_OPTION: Final = ("grpc.enable_http_proxy", 0)
"""For every gRPC channel."""

_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def open_url(
    request: str | urllib.request.Request, timeout: float, context: ssl.SSLContext | None = None
) -> HTTPResponse:
    """As `urllib.request.urlopen`, without a proxy.

    timeout  seconds
    context  of HTTPS; None believes whom this host believes
    raises   OSError if the page cannot be had
    """
    opener = _OPENER
    if context is not None:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
    answer: HTTPResponse = opener.open(request, timeout=timeout)
    return answer
