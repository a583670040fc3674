import pytest

from edge.camera.address import parse_address

SECRETS = ("secret", "pa#ss/w", "p@ss")


@pytest.mark.parametrize(
    ("text", "shown", "url"),
    [
        ("rtsp://admin:secret@cam.example:554/s", "rtsp://cam.example:554", "rtsp://admin:secret@cam.example:554/s"),
        ("rtsp://admin:pa#ss/w@cam/s", "rtsp://cam", "rtsp://admin:pa%23ss%2Fw@cam/s"),
        ("rtsp://admin:p@ss@cam/s?x=1", "rtsp://cam", "rtsp://admin:p%40ss@cam/s?x=1"),
        ("rtsp://admin:a?b[c@10.0.0.9/s", "rtsp://10.0.0.9", "rtsp://admin:a%3Fb%5Bc@10.0.0.9/s"),
        ("rtsp://admin:p%40ss@cam", "rtsp://cam", "rtsp://admin:p%40ss@cam"),
        (
            "rtsp://cam:8554/user=admin&password=secret",
            "rtsp://cam:8554",
            "rtsp://cam:8554/user=admin&password=secret",
        ),
        ("rtsp://cam/s?token=secret#secret", "rtsp://cam", "rtsp://cam/s?token=secret#secret"),
        ("RTSP://[fe80::1]:554/s", "rtsp://[fe80::1]:554", "rtsp://[fe80::1]:554/s"),
        ("http://user@cam/video.mjpg", "http://cam", "http://user@cam/video.mjpg"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234", "udp://@239.0.0.1:1234"),
    ],
)
def test_only_scheme_host_and_port_are_shown_and_ffmpeg_gets_the_rest(text: str, shown: str, url: str) -> None:
    address = parse_address(text)
    assert address.shown == shown
    assert address.url == url


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("admin:secret@cam/s", "begin it with one of rtsp://"),
        ("file:///secret", "begin it with one of rtsp://"),
        ("secret", "begin it with one of rtsp://"),
        ("rtsp://", "begin it with one of rtsp://"),
        ("rtsp://[", "write it as rtsp://user:password@host:port/path"),
        ("rtsp://admin:secret@[cam/s", "write it as rtsp://user:password@host:port/path"),
        ("rtsp://admin:secret@cam:99999/", "write it as rtsp://user:password@host:port/path"),
        ("rtsp://admin:secret@cam:/", "write it as rtsp://user:password@host:port/path"),
        ("rtsp://admin:secret@", "write it as rtsp://user:password@host:port/path"),
        ("rtsp://cam/user=admin&password=p@secret", "write '@' in a path as %40"),
        ("rtsp://admin:secret@cam/s@secret", "write '@' in a path as %40"),
        ("rtsp://admin:12/secret@cam", "'/' as %2F"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_without_showing_it(text: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as refused:
        parse_address(text)
    assert "secret" not in str(refused.value)


def test_the_port_of_the_scheme_is_known() -> None:
    assert (parse_address("rtsp://cam").port, parse_address("https://cam").port) == (554, 443)
    assert parse_address("rtsp://cam:1").port == 1
