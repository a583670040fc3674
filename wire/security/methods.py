"""Which role may call what: the one table. A method that is not in it is refused as soon as there are tokens."""

from collections.abc import Mapping
from typing import Final

from wire.security.tokens import Role

_WATCH: Final = frozenset({Role.VIEWER, Role.OPERATOR})
_ANYBODY: Final = frozenset(Role)

OPEN: Final = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    }
)
"""Without a token: load balancers and health checks have none, and all it tells is whether we serve."""

ROLES: Final[Mapping[str, frozenset[Role]]] = {
    "/vergence.v1.SymbolLinkService/Transmit": frozenset({Role.CAMERA}),
    "/vergence.v1.ReferenceService/SubmitReference": frozenset({Role.CAMERA}),
    "/vergence.v1.PairService/WatchPairs": _WATCH,
    "/vergence.v1.ChannelControlService/ListLinks": _WATCH,
    "/vergence.v1.ChannelControlService/GetLink": _WATCH,
    "/vergence.v1.ChannelControlService/WatchLinks": _WATCH,
    "/vergence.v1.ChannelControlService/UpdateLink": frozenset({Role.OPERATOR}),
    "/vergence.v1.ChannelControlService/ResetLink": frozenset({Role.OPERATOR}),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _ANYBODY,
}
"""By full method name."""

UNSERVED: Final = frozenset({"/grpc.health.v1.Health/List"})
"""What the library names and does not do: it would write a traceback for every call."""

CARRIES_PICTURES: Final = frozenset(
    {
        "/vergence.v1.SymbolLinkService/Transmit",
        "/vergence.v1.ReferenceService/SubmitReference",
    }
)
"""Whose requests may be large."""

CLAIMS_A_VIEW: Final = frozenset(method for method, roles in ROLES.items() if roles == {Role.CAMERA})
"""Where the caller says which view it is: there the servicer asks `caller.check_sender`."""


def roles_of(method: str) -> frozenset[Role]:
    """Who may call a method that is not open; nobody, if nobody has thought of it."""
    return ROLES.get(method, frozenset())
