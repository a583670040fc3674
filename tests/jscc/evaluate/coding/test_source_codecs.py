"""What is true of every picture codec on the bench: rates that fit, and payloads that are all a decoder needs."""

import stat
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, features

from jscc.evaluate import extras
from jscc.evaluate.coding import hevc
from jscc.evaluate.coding.bpg import BpgProgram, bpg_forms
from jscc.evaluate.coding.hevc import HevcIntra, _encode, _split, _to_planes, parameter_sets
from jscc.evaluate.coding.jpeg2000 import PILLOW_DEFAULTS, Jpeg2000
from jscc.evaluate.coding.rate_search import RateSearch, largest_fit
from jscc.evaluate.systems.base import Pair
from tests.jscc.evaluate.conftest import made_up_pair
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.quality import psnr
from wire.runtime.errors import UserError

CLIP = Path(__file__).resolve().parents[4] / "deploy" / "local" / "footage" / "left"
BUDGETS = (451, 876, 1836)
WIDE = PictureSize(144, 272)


def check_rates(search: RateSearch, pair: Pair) -> None:
    quality = []
    for budget in BUDGETS:
        fitted = search.fit(pair.views[0], budget)
        assert fitted is not None
        assert 0.7 * budget <= len(fitted.payload) <= budget
        assert np.array_equal(search.decode(fitted.payload, pair.size), fitted.picture)
        quality.append(psnr(fitted.picture, pair.truth[0]))
    assert quality == sorted(quality)
    assert quality[-1] > 24


def test_jpeg2000_fills_every_budget_and_never_exceeds_it(pair: Pair) -> None:
    check_rates(RateSearch((Jpeg2000(),)), pair)


def test_jpeg2000_takes_any_size() -> None:
    wide = made_up_pair(size=WIDE)
    check_rates(RateSearch((Jpeg2000(),)), wide)
    whole = Jpeg2000(header_counts=True).encode(wide.views[1], 2500)
    assert whole == Jpeg2000().header(WIDE) + Jpeg2000().encode(wide.views[1], 2500)


def test_jpeg2000_headers_that_are_not_counted_say_nothing_about_the_picture(pair: Pair) -> None:
    whole = Jpeg2000(header_counts=True)
    for view, target in ((pair.views[0], 500), (made_up_pair(seed=5).views[1], 2500)):
        assert whole.encode(view, target) == Jpeg2000().header() + Jpeg2000().encode(view, target)


def test_jpeg2000_is_better_than_pillows_defaults(pair: Pair) -> None:
    plain, proper = (RateSearch((form,)).fit(pair.views[0], 876) for form in (PILLOW_DEFAULTS, Jpeg2000()))
    assert plain is not None
    assert proper is not None
    assert psnr(proper.picture, pair.truth[0]) > psnr(plain.picture, pair.truth[0]) + 0.2


@pytest.mark.usefixtures("needs_hevc")
class TestHevc:
    def test_it_fills_every_budget_and_never_exceeds_it(self, pair: Pair) -> None:
        check_rates(RateSearch((HevcIntra("4:2:0"), HevcIntra("4:4:4"))), pair)

    def test_it_takes_any_size(self) -> None:
        check_rates(RateSearch((HevcIntra("4:2:0"), HevcIntra("4:4:4"))), made_up_pair(size=WIDE))

    @pytest.mark.parametrize("chroma", ["4:2:0", "4:4:4"])
    def test_parameter_sets_that_are_not_counted_say_nothing_about_the_picture(self, pair: Pair, chroma: str) -> None:
        for view, qp in ((pair.views[0], 51), (made_up_pair(seed=5).views[1], 20)):
            sets, _ = _split(_encode(_to_planes(view, chroma), chroma, DEFAULT_SIZE, qp, "placebo"))  # type: ignore[arg-type]
            assert sets == parameter_sets(chroma)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("chroma", "least"), [("4:2:0", 30.0), ("4:4:4", 45.0)])
    def test_the_finest_quality_is_close_to_the_picture(self, pair: Pair, chroma: str, least: float) -> None:
        """Made-up edges are sharp in colour, so halved chroma cannot do much better than 30 dB."""
        form = HevcIntra(chroma)  # type: ignore[arg-type]
        assert psnr(form.decode(form.encode(pair.views[0], 51)), pair.truth[0]) > least

    @pytest.mark.parametrize("chroma", ["4:2:0", "4:4:4"])
    def test_sizes_rise_with_quality_as_the_search_takes_for_granted(self, chroma: str) -> None:
        """A frame of the demo's clip, over the qualities that the budgets of the bench need."""
        frame = Image.open(CLIP / "000000.jpg").convert("RGB").resize((256, 128))
        form = HevcIntra(chroma)  # type: ignore[arg-type]
        sizes = [len(form.encode(np.asarray(frame).transpose(2, 0, 1), quality)) for quality in range(4, 20)]
        assert all(small < large for small, large in pairwise(sizes)), sizes

    def test_a_picture_that_fits_nowhere_is_none(self, pair: Pair) -> None:
        assert RateSearch((HevcIntra("4:2:0"),)).fit(pair.views[0], 5) is None


FAKE_PROGRAM = """#!/bin/sh
# A stand-in for both programs: the last two arguments are `target source` after -o; copies the picture.
for word in "$@"; do target=$source; source=$word; done
cp "$source" "$target"
"""


def test_bpgenc_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: Pair) -> None:
    for name in ("bpgenc", "bpgdec"):
        program = tmp_path / name
        program.write_text(FAKE_PROGRAM)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    forms = bpg_forms()
    assert forms == (BpgProgram("4:2:0"), BpgProgram("4:4:4"))
    assert np.array_equal(forms[0].decode(forms[0].encode(pair.views[0], 20)), pair.truth[0])


def test_a_program_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: Pair) -> None:
    program = tmp_path / "bpgenc"
    program.write_text("#!/bin/sh\necho bad magic >&2\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UserError, match=r"^bpgenc failed with code 3: bad magic$"):
        BpgProgram("4:2:0").encode(pair.views[0], 20)


def test_a_missing_library_is_one_line_that_says_what_to_install() -> None:
    with pytest.raises(
        UserError, match=r"^bpg needs no_such_codec, which is not installed; in a checkout of vergence: pip install"
    ):
        extras.require("no_such_codec.parts", "bpg")


def test_a_pillow_without_openjpeg_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(UserError, match=r"^jpeg2000 needs a Pillow with OpenJPEG, and this one has none; "):
        Jpeg2000()


@pytest.mark.usefixtures("needs_hevc")
def test_a_pyav_without_x265_is_one_line(monkeypatch: pytest.MonkeyPatch, pair: Pair) -> None:
    import av

    def refuse(name: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    pretend = SimpleNamespace(CodecContext=SimpleNamespace(create=refuse), codec=av.codec)
    monkeypatch.setattr(hevc, "require", lambda module, purpose: pretend)
    with pytest.raises(UserError, match=r"^bpg needs an HEVC encoder, and this PyAV has no libx265; "):
        HevcIntra("4:2:0").encode(pair.views[0], 20)


@pytest.mark.parametrize("boundary", [-1, 0, 7, 30, 99])
@pytest.mark.parametrize(("guess", "stride"), [(-50, 1), (0, 1), (28, 16), (31, 2), (500, 3)])
def test_a_search_finds_the_boundary_from_any_guess_and_never_asks_twice(
    boundary: int, guess: int, stride: int
) -> None:
    asked: list[int] = []

    def fits(number: int) -> bool:
        asked.append(number)
        return number <= boundary

    assert largest_fit(fits, range(100), guess, stride) == (None if boundary < 0 else boundary)
    assert len(asked) == len(set(asked)) < 20
    assert all(0 <= number < 100 for number in asked)
