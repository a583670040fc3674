"""Every method of every service, asked by everybody who may knock, over real servers behind mutual TLS."""

import asyncio
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from deploy.observe import doors
from deploy.observe.doors import CALLERS, LETS_IN, methods, outcome
from tests.system.conftest import House
from wire.runtime import grpc_kit
from wire.security.methods import CLAIMS_A_VIEW, OPEN, ROLES, UNSERVED
from wire.v1 import pair_service_pb2 as pair_pb2
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2

BEHIND_THE_DOOR = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
"""What servicers say of an empty request, or of one that makes no sense."""


def request_of(method: MethodDescriptor) -> Any:
    """What a caller of a method says, as demo/left where it must say who it is."""
    if method.full_name == "vergence.v1.SymbolLinkService.Transmit":
        hello = link_pb2.Hello(rig="demo", view=types_pb2.VIEW_LEFT, codec_hash="cafe", boot_id=1, frame_rate=10)
        return link_pb2.TransmitRequest(hello=hello)
    if method.full_name == "vergence.v1.ReferenceService.SubmitReference":
        picture = types_pb2.Picture(
            height=128, width=256, format=types_pb2.PICTURE_FORMAT_RGB8, data=bytes(3 * 128 * 256)
        )
        return reference_pb2.SubmitReferenceRequest(rig="demo", view=types_pb2.VIEW_LEFT, boot_id=1, picture=picture)
    if method.full_name == "vergence.v1.PairService.WatchPairs":
        return pair_pb2.WatchPairsRequest(rate=-1.0)  # is answered at once; without a camera a good one waits
    return GetMessageClass(method.input_type)()


async def knock(channel: aio.Channel, method: MethodDescriptor, token: str) -> tuple[str, str]:
    """`yes` if the door lets us in, whatever is said behind it; else the status, and its line."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    name = f"/{method.containing_service.full_name}/{method.name}"
    request = request_of(method).SerializeToString()
    try:
        async with asyncio.timeout(30):
            match method.client_streaming, method.server_streaming:
                case True, True:
                    stream: Any = channel.stream_stream(name)(iter([request]), metadata=metadata)
                    await stream.read()
                    stream.cancel()
                case False, True:
                    watch: Any = channel.unary_stream(name)(request, metadata=metadata)
                    await watch.read()
                    watch.cancel()
                case _:
                    await channel.unary_unary(name)(request, metadata=metadata)
    except aio.AioRpcError as error:
        behind = error.code() in BEHIND_THE_DOOR
        return LETS_IN if behind else error.code().name, str(error.details())
    return LETS_IN, ""


def served_by(method: str) -> list[str]:
    at_emulator = ("ChannelControlService", "SymbolLinkService", "grpc.")
    at_center = ("PairService", "ReferenceService", "SymbolLinkService", "grpc.")
    servers = {"center": at_center, "emulator": at_emulator}
    return [where for where, names in servers.items() if any(part in method for part in names)]


async def test_every_method_by_everybody(house: House) -> None:
    """The whole matrix, and the table of it in SECURITY.md."""
    found = {}
    for where, address in house.addresses.items():
        async with grpc_kit.connect(address, house.keys) as channel:
            for name, method in methods().items():
                if where not in served_by(name):
                    continue
                for caller in CALLERS:
                    said, line = await knock(channel, method, house.tokens[caller])
                    found[where, name, caller] = said
                    assert said == outcome(name, caller), f"{caller} at the {where}: {name}: {line}"
                    if said != LETS_IN:
                        assert line
                        assert "\n" not in line
                        assert "vgt_" not in line
    assert {name for _, name, _ in found} == set(methods())
    for service, metrics in (("center", house.center.metrics), ("emulator", house.emulator.metrics)):
        refused = {
            reason: metrics.registry.get_sample_value(f"vergence_{service}_refused_total", {"reason": reason})
            for reason in ("missing", "unknown", "expired", "role", "rig")
        }
        asked = [key for key in found if key[0] == service and found[key] not in (LETS_IN, "UNIMPLEMENTED")]
        assert sum(value or 0 for value in refused.values()) == len(asked)
        assert all(refused.values()), refused


async def test_the_servers_serve_nothing_that_the_table_does_not_know(house: House) -> None:
    """By their own reflection: a new service cannot be forgotten."""
    known = {name.split("/")[1] for name in (*ROLES, *OPEN, *UNSERVED)}
    for address in house.addresses.values():
        async with grpc_kit.connect(address, house.keys) as channel:
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            metadata = (("authorization", f"Bearer {house.tokens['viewer']}"),)
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]
            call = stub.ServerReflectionInfo(iter([request]), metadata=metadata)
            answer = await call.read()
        listed = {service.name for service in answer.list_services_response.service}
        assert listed <= known
        for service in listed:
            for method in descriptor_pool.Default().FindServiceByName(service).methods:  # type: ignore[no-untyped-call]
                assert f"/{service}/{method.name}" in {*ROLES, *OPEN, *UNSERVED}


def test_the_table_and_the_contract_name_the_same_methods() -> None:
    assert set(methods()) == {*ROLES, *OPEN, *UNSERVED}
    assert not set(ROLES) & OPEN
    assert all(ROLES.values()), "a method for nobody"
    assert {name for name in methods() if name.startswith("/vergence.")} & OPEN == set()


def test_the_methods_that_claim_a_view_are_those_that_name_one_in_a_camera_s_request() -> None:
    assert {
        "/vergence.v1.SymbolLinkService/Transmit",
        "/vergence.v1.ReferenceService/SubmitReference",
    } == CLAIMS_A_VIEW


def test_the_table_in_security_md_is_of_today() -> None:
    text = doors.PAGE.read_text(encoding="utf-8")
    assert text == doors.page(text), "run `make metrics`"
