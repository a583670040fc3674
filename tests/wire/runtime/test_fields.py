"""Messages are walked over before they are parsed: what a few bytes could unpack to is refused unseen."""

import numpy as np
import pytest

from wire.contract.arrays import pack_complex
from wire.geometry import LARGEST_SIZE
from wire.runtime.fields import MOST_FIELDS, has_too_many
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2 import TransmitRequest

KIND = TransmitRequest.DESCRIPTOR


def largest() -> bytes:
    """The frame with most fields that a center takes."""
    numbers = pack_complex(np.ones(LARGEST_SIZE.symbols, np.complex64))
    frame = link_pb2.SymbolFrame(
        sequence=2**64 - 1,
        captured_at_ns=2**63 - 1,
        age_budget_ms=500,
        encoder_snr_db=3.0,
        symbols=numbers,
        stages=[link_pb2.StageTime(stage="capture", microseconds=5)] * 16,
        referenced=True,
    )
    frame.channel_state.snr_db, frame.channel_state.noise_variance, frame.channel_state.coherence = 1.0, 1.0, 1
    frame.channel_state.gain.CopyFrom(numbers)
    return TransmitRequest(frame=frame).SerializeToString()


def test_what_belongs_has_far_fewer_fields_than_it_may() -> None:
    assert not has_too_many(largest(), KIND)
    assert not has_too_many(largest(), KIND, MOST_FIELDS // 3)
    assert has_too_many(largest(), KIND, 32)


@pytest.mark.parametrize(
    "of_a_frame",
    [
        pytest.param(b"\x3a\x00", id="empty stages"),
        pytest.param(b"\x08\x01", id="one number again and again"),
        pytest.param(b"\xf8\x7f\x00", id="fields that nobody knows"),
        pytest.param(b"\x2a\x02\x08\x01", id="fields of a message in it"),
        pytest.param(b"\xfb\x01\xfc\x01", id="groups"),
        pytest.param(b"\x25\x00\x00\x00\x00", id="fixed 32 bits"),
        pytest.param(b"\xf9\x01" + bytes(8), id="fixed 64 bits"),
    ],
)
def test_fields_are_counted_wherever_they_stand(of_a_frame: bytes) -> None:
    body = of_a_frame * (MOST_FIELDS + 1)
    length = bytes([0x80 | len(body) & 0x7F, len(body) >> 7])
    assert has_too_many(b"\x12" + length + body, KIND)
    assert not has_too_many(of_a_frame, KIND)


def test_bytes_that_are_no_message_end_the_walk() -> None:
    for data in (b"", b"\x12", b"\x12\xff\xff\xff", b"\xff" * 40, b"\x12\x05\x3a", b"\x0f\x0f"):
        assert not has_too_many(data, KIND)
