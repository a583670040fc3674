"""The emulator's links for a browser: ChannelControlService to JSON and back, its failures to HTTP."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

import grpc
from google.protobuf.message import Message
from grpc import aio
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from center.web.to_json import snr_to_json, to_json
from wire.contract import link_settings
from wire.contract.link_settings import Csi, Model, PowerPolicy
from wire.runtime import grpc_kit
from wire.runtime.errors import UserError
from wire.security.keyring import NO_KEYS, Keyring
from wire.v1 import channel_control_service_pb2 as control_pb2
from wire.v1.channel_control_service_pb2_grpc import ChannelControlServiceStub
from wire.views import View

_DEADLINE: Final = 1.0
LONGEST_ANSWER: Final = 256 * 2**10
"""Bytes that are taken of an emulator."""
MOST_LINKS: Final = 1024
"""Of one emulator, which may have no more: each takes the event loop of all cameras some 20 us."""
_HTTP: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 503,
}
_REFUSED: Final = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_AWAY: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class LinkRefused(Exception):
    """One clear line and the HTTP status that goes with it."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def _noiseless(value: object) -> object:
    if value == "noiseless":
        return math.inf
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such number; 1e999 is a slip of the pen
        raise ValueError("must be a number of dB or 'noiseless'")
    return value


class LinkChange(BaseModel):
    """The settings that a PATCH may hold; only those that are given change. Ranges are the emulator's to judge."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: Model = Model.CLEAN
    snr_db: Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_noiseless)] = 0.0
    coherence: Annotated[int, Field(ge=1, lt=2**32)] = 1
    k_factor_db: float = 0.0
    doppler: float = 0.0
    outage: bool = False
    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    csi: Csi = Csi.PERFECT
    power: PowerPolicy = PowerPolicy.REJECT

    @staticmethod
    def read(body: bytes) -> "LinkChange":
        """raises LinkRefused (400) with one line that names every wrong setting"""
        try:
            change = LinkChange.model_validate_json(body)
        except ValidationError as error:
            raise LinkRefused(400, "; ".join(_describe(detail) for detail in error.errors())) from None
        if not change.model_fields_set:
            raise LinkRefused(400, f"nothing to change; give one or more of {', '.join(LinkChange.model_fields)}")
        return change

    def to_proto(self) -> control_pb2.LinkSettings:
        """Only what was given."""
        return link_settings.to_proto({name: getattr(self, name) for name in self.model_fields_set})


def _describe(detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])[:60]
    if detail["type"] == "json_invalid" or not name:
        return 'send a JSON object of settings, such as {"snr_db": 7}'
    if detail["type"] == "extra_forbidden":
        return f"{name}: unknown setting; allowed: {', '.join(LinkChange.model_fields)}"
    message = str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{name}: {message}"


class LinkControl:
    """A client of the emulator's ChannelControlService.

    address  `host:port`; "" if there is no emulator
    keys     with which it is called
    raises   LinkRefused from every call that fails
    """

    def __init__(self, address: str, keys: Keyring = NO_KEYS) -> None:
        self.address, self._connection = address, grpc_kit.Connection(address, keys, LONGEST_ANSWER)

    async def list(self) -> list[dict[str, Any]]:
        """Every link, by rig and view."""
        answer = await self._ask("ListLinks", control_pb2.ListLinksRequest())
        if len(answer.links) > MOST_LINKS:
            line = f"the channel emulator at {self.address} names {len(answer.links)} links; {MOST_LINKS} are the most"
            raise LinkRefused(502, line)
        return [self._to_json(link) for link in answer.links]

    async def change(self, rig: str, view: View, body: bytes) -> dict[str, Any]:
        """Change one link by a JSON object of settings; returns the link as the emulator confirms it."""
        settings = LinkChange.read(body).to_proto()
        request = control_pb2.UpdateLinkRequest(rig=rig, view=view.to_proto(), settings=settings)
        return self._to_json((await self._ask("UpdateLink", request)).link)

    async def reset(self, rig: str, view: View) -> dict[str, Any]:
        """One link back to its configuration; returns the link as it is then."""
        request = control_pb2.ResetLinkRequest(rig=rig, view=view.to_proto())
        return self._to_json((await self._ask("ResetLink", request)).link)

    async def close(self) -> None:
        await self._connection.close()

    def _to_json(self, link: control_pb2.Link) -> dict[str, Any]:
        try:
            return link_to_json(link)
        except UserError as problem:
            raise LinkRefused(
                502, f"the channel emulator at {self.address} names a link that is none: {problem}"
            ) from None

    async def _ask(self, method: str, request: Message) -> Any:
        if not self.address:
            raise LinkRefused(503, "this center has no channel emulator; set its address to control links from here")
        channel = self._connection.channel()  # held until the call is over
        call, metadata = getattr(ChannelControlServiceStub(channel), method), self._connection.keys.metadata()
        try:
            # Waiting lets a call outlive the first moments of a connection; the deadline tells a dead emulator.
            return await call(request, timeout=_DEADLINE, metadata=metadata, wait_for_ready=True)
        except aio.AioRpcError as error:
            if error.code() in _AWAY:
                line = f"the channel emulator at {self.address} does not answer; start it: vergence-emulator run"
            elif error.code() in _REFUSED:
                line = f"the channel emulator refuses this center (security.token): {error.details()}"
            else:
                line = error.details() or f"the channel emulator failed: {error.code().name.lower()}"
            raise LinkRefused(_HTTP.get(error.code(), 502), line.splitlines()[0]) from None


def link_to_json(link: control_pb2.Link) -> dict[str, Any]:
    """A link in JSON's types; of the settings only those that are set, enums by their short names."""
    return {
        "rig": link.rig,
        "view": View.from_proto(link.view).value,
        "settings": _settings_to_json(link.settings),
        "current_snr_db": snr_to_json(link.current_snr_db),
        "measured_snr_db": snr_to_json(link.measured_snr_db),
        "version": link.version,
        "connected": link.connected,
        "frames": link.frames,
        "lost": link.lost,
    }


def _settings_to_json(settings: control_pb2.LinkSettings) -> Mapping[str, Any]:
    given = link_settings.from_proto(settings).items()
    return {name: snr_to_json(value) if name == "snr_db" else to_json(value) for name, value in given}
