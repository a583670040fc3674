"""Whether a service is well: what a container's health check runs, light enough for every five seconds.

    python -m wire.runtime.health 127.0.0.1:50051
        a server: the gRPC health service
    python -m wire.runtime.health --tls CERTIFICATE KEY AUTHORITY 127.0.0.1:50051
        the same over mutual TLS; three PEM files. No token: health is open
    python -m wire.runtime.health http://127.0.0.1:9103/metrics vergence_edge_camera_up
        an edge, which serves nothing but this
    python -m wire.runtime.health --metrics AUTHORITY TOKEN https://127.0.0.1:9103/metrics vergence_edge_camera_up
        the same over HTTPS: files of the authority of metrics.certificate, and of a token of role metrics

Exit code 0 is well, 1 is not; the reason stands on standard output, where `docker inspect` shows it.
"""

import ssl
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from wire.runtime import direct
from wire.runtime.samples import read_samples

TIMEOUT_SECONDS: Final = 3.0


def serving(address: str, tls: Sequence[str] = ()) -> str:
    """Ask the standard health service.

    tls      files of our certificate, our key and the authority; none is plain text
    returns  what it says, such as SERVING
    raises   OSError if nobody answers, or a file cannot be read
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    if tls:
        certificate, key, authority = (Path(file).read_bytes() for file in tls)
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        made = grpc.secure_channel(address, credentials, options=[direct.CHANNEL_OPTION])
    else:
        made = grpc.insecure_channel(address, options=[direct.CHANNEL_OPTION])
    with made as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs do not name the methods
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise OSError(_why(error)) from None
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _why(error: Any) -> str:
    """A failed call in a line: gRPC's own words have five, and its code where it says TLS."""
    from wire.security.certificates import why_no_connection  # only here: a check that goes well stays light

    details = error.details() or ""
    return why_no_connection(details) or f"{error.code().name} {details}".strip()


def gauge(url: str, name: str, lock: Sequence[str] = ()) -> list[float]:
    """The values of a metric on a page for Prometheus.

    lock    files of the authority and of a token; none is an open page
    raises  OSError or ValueError if there is no such page, or a file cannot be read
    """
    request, context = urllib.request.Request(url), None
    if lock:
        authority, token = lock
        context = ssl.create_default_context(cafile=authority)
        request.add_header("Authorization", f"Bearer {Path(token).read_text(encoding='ascii').strip()}")
    samples = read_samples(request, TIMEOUT_SECONDS, context)
    return [float(sample.value) for sample in samples if sample.name == name]


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case [address] | ["--tls", _, _, _, address]:
                said = serving(address, arguments[1:-1])
                well = said == "SERVING"
            case [url, name] | ["--metrics", _, _, url, name]:
                samples = gauge(url, name, arguments[1:-2])
                said = f"{name} {samples}"
                well = bool(samples) and all(sample == 1.0 for sample in samples)
            case _:
                said, well = (__doc__ or "").strip(), False
    except (OSError, ValueError) as error:
        said, well = f"no answer: {error}", False
    print(said)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
