"""The samples of a page for Prometheus: for the health check, the local runner and the load tool."""

import ssl
from urllib.request import Request

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from wire.runtime.direct import open_url


def read_samples(url: str | Request, timeout: float, context: ssl.SSLContext | None = None) -> list[Sample]:
    """Every sample of a page, in its order: name, labels, value.

    url      of a service's /metrics, or a request for it with headers
    timeout  seconds
    context  of HTTPS
    raises   OSError if the page cannot be had; ValueError if it is not one for Prometheus
    """
    with open_url(url, timeout, context) as page:
        text = page.read().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]
