"""Who may call what, off the code, and its table in SECURITY.md: `python -m deploy.observe.doors`."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

import wire.v1
from deploy.observe import marks
from wire.runtime import scrapes
from wire.security.interceptor import STATUS
from wire.security.methods import CLAIMS_A_VIEW, OPEN, UNSERVED, roles_of
from wire.security.tokens import Denial, Role

PAGE: Final = Path(__file__).resolve().parents[2] / "SECURITY.md"
BEGIN, END = "<!-- begin of the table: make metrics -->", "<!-- end of the table -->"
STRANGER: Final = "camera of another rig or view"
CALLERS: Final = (
    *(role.value for role in Role),
    STRANGER,
    "no token",
    "unknown token",
    "expired",
)
"""Everybody who may call, for the columns."""
LETS_IN: Final = "yes"


def methods() -> dict[str, MethodDescriptor]:
    """Every method of every service of the contract, of health and of reflection, by full name."""
    files = [import_module(f"wire.v1.{module.name}") for module in pkgutil.iter_modules(wire.v1.__path__)]
    found: dict[str, MethodDescriptor] = {}
    for file in (*files, health_pb2, reflection_pb2):
        if hasattr(file, "DESCRIPTOR"):
            for service in file.DESCRIPTOR.services_by_name.values():
                found |= {f"/{service.full_name}/{method.name}": method for method in service.methods}
    return found


def outcome(method: str, caller: str) -> str:
    """What the door says: `yes`, or the name of the status code."""
    if method in UNSERVED:
        return grpc.StatusCode.UNIMPLEMENTED.name
    if method in OPEN:
        return LETS_IN
    if caller in {"no token", "unknown token", "expired"}:
        return STATUS[Denial.MISSING].name
    if caller == STRANGER:
        return STATUS[Denial.RIG].name if method in CLAIMS_A_VIEW else outcome(method, Role.CAMERA)
    return LETS_IN if Role(caller) in roles_of(method) else grpc.StatusCode.PERMISSION_DENIED.name


def scrape(caller: str) -> str:
    """What a metrics port with `metrics.tokens` says: `yes`, or the status of HTTP."""
    denied = {"no token": Denial.MISSING, "unknown token": Denial.UNKNOWN, "expired": Denial.EXPIRED}
    return LETS_IN if caller == Role.METRICS else scrapes.STATUS[denied.get(caller, Denial.ROLE)]


def table() -> str:
    """In Markdown."""
    return "\n".join(_rows()) + "\n"


def _rows() -> Iterator[str]:
    yield f"| method | {' | '.join(CALLERS)} |"
    yield "|---" * (1 + len(CALLERS)) + "|"
    for method in sorted(methods()):
        short = method.removeprefix("/").replace("/", ".").removeprefix("vergence.v1.")
        yield f"| `{short}` | {' | '.join(outcome(method, caller) for caller in CALLERS)} |"
    yield f"| `GET /metrics` of edge and emulator | {' | '.join(scrape(caller) for caller in CALLERS)} |"


def page(text: str) -> str:
    """SECURITY.md with the table of today."""
    return marks.between(text, BEGIN, END, f"\n\n{table()}\n")


if __name__ == "__main__":
    marks.write(PAGE, page(PAGE.read_text(encoding="utf-8")))
