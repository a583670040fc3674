import json
from pathlib import Path

import pytest

from jscc.curves import averaged, draw, main, stages
from jscc.train.run_log import duration, read_run, read_table, standing, wall_seconds
from wire.runtime.errors import UserError

OLD = "step,true@-2,absent@-2"
NEW = "step,true@-2,better@-2,absent@-2,true@12,absent@12"


def make_run(
    folder: Path,
    train: str,
    val: str | None = None,
    before: dict[str, object] | None = None,
    loss: str = "mse",
    joint: bool = True,
) -> Path:
    folder.mkdir(parents=True)
    about = {"preset": "tiny", "config": {"joint": joint}, "settings": {"loss": loss, "steps": 400}}
    if before:
        about["before"] = before
    (folder / "run.json").write_text(json.dumps(about))
    (folder / "train.csv").write_text("step,loss,psnr,lr,seconds\n" + train)
    if val is not None:
        (folder / "val.csv").write_text(val)
    return folder


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return make_run(
        tmp_path / "first",
        "100,5,20,1,10\n200,4,20,1,20\n150,4.5,20,1,6\n200,3,20,1,11\n",  # stopped at once after a save at step 100
        f"{OLD}\n100,20.0,19.0\n200,21.0,19.5\n",
    )


@pytest.fixture
def second(tmp_path: Path) -> Path:
    before = {"from": "first", "step": 200, "before": {"from": "unknown", "step": 9}}
    return make_run(
        tmp_path / "second", "100,2,20,1,30\n", f"{NEW}\n100,22.0,22.5,20.0,25.0,24.0\n", before, loss="ms-ssim"
    )


def test_steps_done_twice_count_once_but_their_time_twice(first: Path) -> None:
    run = read_run(first)
    assert [(row["step"], row["loss"]) for row in run.train] == [(100, 5), (150, 4.5), (200, 3)]
    assert run.seconds == 20 + 11
    rows = read_table(first, "train")
    assert wall_seconds(rows, until=100) == 10
    assert wall_seconds([]) == 0
    made = [(1, 20, 7.5), (2, 25, 9.5), (3, 50, 9.5)]  # the second session's first row is above the first one's last
    rows = [{"step": step, "seconds": seconds, "session": session} for step, seconds, session in made]
    assert wall_seconds(rows) == 20 + 50
    assert wall_seconds([{"step": 0, "seconds": 10}, *rows]) == 10 + 20 + 50
    assert standing([]) == []


def test_rows_of_an_older_version_are_read_too(first: Path) -> None:
    (first / "val.csv").rename(first / "val-1.csv")
    (first / "val.csv").write_text(f"{NEW}\n300,22.0,22.5,20.0,25.0,24.0\n")
    assert [(row["step"], row.get("true@12")) for row in read_run(first).val] == [(100, None), (200, None), (300, 25.0)]


def test_a_run_is_drawn_after_the_one_it_began_with(first: Path, second: Path, tmp_path: Path) -> None:
    third = make_run(tmp_path / "third", "50,1,20,1,9\n", before={"from": "second", "step": 100})
    placed = stages([read_run(folder) for folder in (third, first, second)])
    assert [stage.began for stage in placed] == [300, 0, 200]
    assert placed[2].val[0] == {"step": 0, "true@-2": 21.0, "absent@-2": 19.5}  # where the first one ended
    assert [stage.label for stage in placed] == [
        "third: 50 steps after second, 9 s",
        "first: 200 steps, 31 s",
        "second: 100 steps after first, 30 s",
    ]
    alone = stages([read_run(second)])[0]
    assert alone.began == 0
    assert alone.val[0]["step"] == 100
    assert alone.label.startswith("second: 100 steps after first")


def test_a_baseline_does_not_begin_at_the_psnr_of_a_joint_run(first: Path, tmp_path: Path) -> None:
    before = {"from": "first", "step": 200}
    alone = make_run(tmp_path / "alone", "50,1,20,1,9\n", f"{OLD}\n50,20.5,20.5\n", before, joint=False)
    (stage,) = [stage for stage in stages([read_run(first), read_run(alone)]) if stage.run.name == "alone"]
    assert stage.began == 200
    assert [row["step"] for row in stage.val] == [50]


def test_two_runs_that_name_each_other_end(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", "50,1,20,1,9\n", before={"from": "b", "step": 100})
    b = make_run(tmp_path / "b", "50,1,20,1,9\n", before={"from": "a", "step": 30})
    assert [stage.began for stage in stages([read_run(a), read_run(b)])] == [100, 30]


def test_the_picture_tells_the_runs_and_is_the_same_each_time(first: Path, second: Path, tmp_path: Path) -> None:
    baseline = make_run(tmp_path / "alone", "100,5,20,1,10\n", f"{OLD}\n100,20.5,20.5\n", joint=False)
    folders = [str(folder) for folder in (first, second, baseline)]
    for name in ("one.svg", "deep/two.svg"):
        assert main([*folders, "--out", str(tmp_path / name)]) == 0
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "deep" / "two.svg").read_text()
    for text in ("first: 200 steps, 31 s", "second: 100 steps after first", "-2 dB", "12 dB", "training time: 71 s",
                 "training loss (mse)", "training loss (ms-ssim)"):  # fmt: skip
        assert text in drawn
    assert main([str(first), "--out", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_validation_has_its_loss_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "100,5,20,1,10\n")
    assert main([str(run), "--out", str(tmp_path / "x.svg")]) == 0
    assert "validation" not in (tmp_path / "x.svg").read_text()


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_cannot_be_drawn_is_one_line(first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.svg"
    assert "is not a training run: it has no run.json" in refused(capsys, tmp_path, "--out", out)
    assert "must end in .svg, .png, .pdf" in refused(capsys, first, "--out", tmp_path / "x.gif")
    empty = make_run(tmp_path / "empty", "")
    assert "no run has a row in train.csv yet" in refused(capsys, empty, "--out", out)
    (first / "val.csv").write_text(f"{OLD}\n100,20.0,19.0\n200,21.0\n")
    assert "val.csv:3: not 3 numbers" in refused(capsys, first, "--out", out)
    (first / "run.json").write_text("{")
    assert "run.json cannot be read" in refused(capsys, first, "--out", out)
    assert not out.exists()


def test_a_missing_matplotlib_says_what_to_install(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    runs = [read_run(first)]
    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(UserError, match=r"drawing curves needs matplotlib.*pip install '\.\[train\]'"):
        draw(runs, first / "x.svg")


def test_long_curves_are_averaged_down() -> None:
    rows = [{"step": float(i), "loss": float(i % 2)} for i in range(1000)]
    short = averaged(rows, 250)
    assert len(short) == 250
    assert short[0] == {"step": 1.5, "loss": 0.5}
    assert averaged(rows[:10], 250) == rows[:10]
    assert averaged([], 250) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5700, "95 min"), (11100, "3 h 05 min"), (180000, "2 d 02 h")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_run_that_began_with_a_codec_follows_the_run_that_the_codec_was_made_of(first: Path, tmp_path: Path) -> None:
    codec = {"from": "0123456789abcdef", "step": 200, "settings": {"loss": "mse", "steps": 400}}
    after, other = (
        make_run(tmp_path / name, "100,2,20,1,30\n", None, {**codec, "settings": {"loss": loss, "steps": 400}})
        for name, loss in (("after", "mse"), ("other", "ms-ssim"))
    )
    placed = stages([read_run(first), read_run(after), read_run(other)])
    assert [stage.began for stage in placed] == [0, 200, 0]
    assert placed[1].label.startswith("after: 100 steps after first")
    assert placed[2].label.startswith("other: 100 steps after 0123456789abcdef")
