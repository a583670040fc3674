"""`vergence certs`: what is made, who may read it, and that nothing is overwritten by mistake."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

import deploy.local
from deploy.local import cli
from deploy.local.authority import AUTHORITY_DAYS, Authority, hosts_of, is_host
from deploy.local.certs import make, write
from wire.runtime.errors import UserError
from wire.security import token_file
from wire.security.tokens import Principal, Role, TokenRefused
from wire.views import View

FOLDERS = ["center", "demo-left", "demo-right", "emulator", "metrics", "operator", "viewer"]


def hosts(folder: Path, service: str) -> list[str]:
    return hosts_of((folder / service / "certificate.pem").read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_party_gets_what_it_needs_and_no_more(certs: Path) -> None:
    assert sorted(path.name for path in certs.iterdir()) == sorted([*FOLDERS, "authority", "tokens.yaml", ".gitignore"])
    common = {"authority.pem", "certificate.pem", "key.pem"}
    for name in FOLDERS:
        more = {"center": {"tokens.yaml", "token"}, "emulator": {"tokens.yaml"}}.get(name, {"token"})
        assert {path.name for path in (certs / name).iterdir()} == common | more


def test_nobody_else_can_read_a_secret(certs: Path) -> None:
    for path in certs.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        public = path.name in ("certificate.pem", "authority.pem", ".gitignore")
        assert mode == (0o700 if path.is_dir() else 0o644 if public else 0o600), path


def test_the_book_knows_every_token_and_holds_none(certs: Path) -> None:
    book, text = token_file.load(certs / "center" / "tokens.yaml"), (certs / "tokens.yaml").read_text()
    wanted = {
        "center": Principal("center", Role.OPERATOR),
        "demo-left": Principal("demo-left", Role.CAMERA, "demo", View.LEFT),
        "demo-right": Principal("demo-right", Role.CAMERA, "demo", View.RIGHT),
        **{role.value: Principal(role.value, role) for role in (Role.VIEWER, Role.OPERATOR, Role.METRICS)},
    }
    for name, principal in wanted.items():
        token = (certs / name / "token").read_text().strip()
        assert book.authenticate(token, 0.0) == principal
        assert token not in text
        assert hashlib.sha256(token.encode()).hexdigest() in text
    for service in ("center", "emulator"):
        assert (certs / service / "tokens.yaml").read_text() == text


def test_services_are_called_by_their_names(tmp_path: Path) -> None:
    make(tmp_path / "certs", ["radio.example", "10.0.0.7", "fe80::1"])
    loopback = ["localhost", "127.0.0.1", "::1"]
    given = ["radio.example", "10.0.0.7", "fe80::1"]
    assert hosts(tmp_path / "certs", "center") == ["center", *loopback, *given]
    assert hosts(tmp_path / "certs", "emulator") == ["emulator", "channel-emulator", *loopback, *given]
    assert hosts(tmp_path / "certs", "demo-left") == []


def test_who_only_calls_can_serve_nobody(certs: Path) -> None:
    """A stolen camera's certificate must not stand in for a center."""
    for name in FOLDERS:
        read = x509.load_pem_x509_certificate((certs / name / "certificate.pem").read_bytes())
        uses = read.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert (ExtendedKeyUsageOID.SERVER_AUTH in uses) is (name in ("center", "emulator"))


def test_days_are_those_of_the_certificates(tmp_path: Path) -> None:
    make(tmp_path / "certs", days=7)
    read = x509.load_pem_x509_certificate((tmp_path / "certs" / "center" / "certificate.pem").read_bytes())
    left = read.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=6.9) < left <= timedelta(days=7)


def test_a_second_call_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "certs"
    assert cli.main(["certs", str(folder)]) == 0
    before = contents(folder)
    capsys.readouterr()
    assert cli.main(["certs", str(folder)]) == 1
    line = f"vergence: error: {folder} holds certificates already; --renew makes new ones of the same authority"
    assert capsys.readouterr().err.strip() == line
    assert contents(folder) == before


def test_renewal_keeps_authority_tokens_hosts_and_what_was_written_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    make(folder, ["radio.example"], ["front"])
    with (folder / "tokens.yaml").open("a") as book:
        book.write(f"  - {{name: anna, role: viewer, sha256: '{'0' * 64}'}}\n")
    before = contents(folder)
    made = make(folder, ["second.example"], ["back"], renew=True)
    after = contents(folder)
    assert {"front-left", "front-right", "back-left", "back-right"} < set(made)
    for name, data in before.items():
        kept = name.startswith((".gitignore", "authority/")) or name.endswith(("/token", "/authority.pem"))
        assert (after[name] == data) is kept, name
    assert {"second.example", "radio.example"} < set(hosts(folder, "center"))
    names = [entry["name"] for entry in yaml.safe_load(after["emulator/tokens.yaml"])["tokens"]]
    assert {"anna", "front-left", "back-right"} < set(names)
    assert len(names) == len(set(names))


def test_a_token_is_replaced_by_taking_its_file_away(tmp_path: Path) -> None:
    make(tmp_path / "certs")
    place = tmp_path / "certs"
    former, other = (place / "demo-left" / "token").read_text(), (place / "demo-right" / "token").read_text()
    (place / "demo-left" / "token").unlink()
    make(place, renew=True)
    for service in ("center", "emulator"):
        book = token_file.load(place / service / "tokens.yaml")
        assert book.authenticate((place / "demo-left" / "token").read_text().strip(), 0.0).name == "demo-left"
        assert book.authenticate(other.strip(), 0.0).name == "demo-right"
        with pytest.raises(TokenRefused):
            book.authenticate(former.strip(), 0.0)


def test_a_token_that_was_withdrawn_stays_so(tmp_path: Path) -> None:
    place = tmp_path / "certs"
    make(place)
    lines = (place / "tokens.yaml").read_text().splitlines(keepends=True)
    (place / "tokens.yaml").write_text("".join(line for line in lines if "'viewer'" not in line))
    make(place, renew=True)
    with pytest.raises(TokenRefused):
        token_file.load(place / "center" / "tokens.yaml").authenticate(
            (place / "viewer" / "token").read_text().strip(), 0
        )


@pytest.mark.parametrize(
    ("prepare", "words", "line"),
    [
        ("file", [], "DIR is not empty; give a new folder"),
        ("", ["--renew"], "DIR/authority holds no authority to renew from; leave --renew away to make one"),
        ("", ["--days", "0"], "--days is 0; give a number above 0, at most the authority's 3650"),
        ("", ["--days", "inf"], "--days is inf; give a number above 0, at most the authority's 3650"),
        ("", ["--days", "nan"], "--days is nan; give a number above 0, at most the authority's 3650"),
        ("", ["--host", ".."], "--host '..' is no name of a host; give a name or an address without a port"),
        (
            "",
            ["--host", "10.0.0.256"],
            "--host '10.0.0.256' is no name of a host; give a name or an address without a port",
        ),
        ("", ["--host", "a b"], "--host 'a b' is no name of a host; give a name or an address without a port"),
        (
            "",
            ["--host", "a:50051/x"],
            "--host 'a:50051/x' is no name of a host; give a name or an address without a port",
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prepare: str, words: list[str], line: str
) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    if prepare:
        (folder / "mine").write_text("keep")
    assert cli.main(["certs", str(folder), *words]) == 1
    assert capsys.readouterr().err.strip().replace(str(folder), "DIR") == f"vergence: error: {line}"
    assert sorted(path.name for path in folder.iterdir()) == (["mine"] if prepare else [])


def damage(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def lock(path: Path) -> None:
    """Give a key a password."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))


@pytest.mark.parametrize(
    ("harm", "file", "line"),
    [
        (damage, "center/certificate.pem", "is damaged; delete it, and give every --host again"),
        (damage, "tokens.yaml", "not UTF-8; save the file as UTF-8"),
        (
            Path.unlink,
            "tokens.yaml",
            "is missing, and center, demo-left, demo-right, viewer, operator, metrics have tokens",
        ),
        (damage, "authority/key.pem", "is lost, damaged or has a password; bring it back, or make a new folder"),
        (Path.unlink, "authority/authority.pem", "is lost, damaged or has a password"),
        (lock, "authority/key.pem", "is lost, damaged or has a password"),
    ],
)
def test_a_renewal_from_damaged_files_is_refused_and_changes_nothing(
    tmp_path: Path, harm: Callable[[Path], None], file: str, line: str
) -> None:
    """A book that was lost would be made anew without the tokens that are out, and shut out everybody who has one."""
    make(tmp_path / "certs")
    harm(tmp_path / "certs" / file)
    before = contents(tmp_path / "certs")
    with pytest.raises(UserError) as refused:
        make(tmp_path / "certs", renew=True)
    assert line in str(refused.value)
    assert contents(tmp_path / "certs") == before


def test_a_lost_certificate_is_made_anew_with_the_hosts_of_the_other_service(tmp_path: Path) -> None:
    make(tmp_path / "certs", ["radio.example"])
    before = hosts(tmp_path / "certs", "center"), hosts(tmp_path / "certs", "emulator")
    (tmp_path / "certs" / "center" / "certificate.pem").unlink()
    make(tmp_path / "certs", renew=True)
    assert (hosts(tmp_path / "certs", "center"), hosts(tmp_path / "certs", "emulator")) == before


def test_a_run_that_was_cut_off_shuts_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes, mode: int = 0o600) -> None:
        if path.parent.name == "viewer":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data, mode)

    with monkeypatch.context() as patched:
        patched.setattr("deploy.local.certs.write", full)
        with pytest.raises(UserError, match=r"(?i)no space left"):
            make(tmp_path / "certs")
    make(tmp_path / "certs", renew=True)
    book = token_file.load(tmp_path / "certs" / "center" / "tokens.yaml")
    for name in ("demo-left", "viewer", "metrics"):
        token = (tmp_path / "certs" / name / "token").read_text().strip()
        assert book.authenticate(token, 0.0).name == name


def test_an_authority_signs_for_no_longer_than_it_counts() -> None:
    then = datetime(2026, 1, 1, tzinfo=UTC)
    authority = Authority.new(then)
    late = then + timedelta(days=AUTHORITY_DAYS - 1)
    signed = x509.load_pem_x509_certificate(authority.sign("late", [], 365.0, late).certificate)
    assert signed.not_valid_after_utc == then + timedelta(days=AUTHORITY_DAYS)
    assert not authority.ended(late)
    assert authority.ended(late + timedelta(days=1))


def test_nothing_is_renewed_by_an_authority_that_has_ended(tmp_path: Path) -> None:
    make(tmp_path / "certs")
    old = Authority.new(datetime.now(UTC) - timedelta(days=AUTHORITY_DAYS + 1)).pem()
    write(tmp_path / "certs" / "authority" / "authority.pem", old.certificate)
    write(tmp_path / "certs" / "authority" / "key.pem", old.key)
    with pytest.raises(UserError, match="has expired; make a new folder"):
        make(tmp_path / "certs", renew=True)


@pytest.mark.parametrize("host", ["center", "*.example.org", "a_b.example", "10.0.0.7", "::1", "fe80::1", "7.example"])
def test_names_and_addresses_can_be_certified(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "..",
        "*",
        "*.*",
        "-",
        "a:b",
        "a..b",
        "1.2.3.4.5",
        "a.*.b",
        "x" * 64,
        "a." * 127 + "a",
        "é.example",
        "a\n",
        "fe80::1%eth0",
    ],
)
def test_what_nobody_could_call_cannot(host: str) -> None:
    assert not is_host(host)


def test_a_folder_in_which_others_may_write_is_not_taken(tmp_path: Path) -> None:
    """Whoever may write there can exchange the authority before the next renewal."""
    folder = tmp_path / "certs"
    folder.mkdir()
    folder.chmod(0o777)
    for renew in (False, True):
        with pytest.raises(UserError, match="everybody may write to it; give a new folder"):
            make(folder, renew=renew)
    assert not list(folder.iterdir())


def test_a_secret_is_written_into_no_file_that_somebody_has_laid_there(tmp_path: Path) -> None:
    secret, target = tmp_path / "key.pem", tmp_path / "of-somebody-else"
    target.write_text("")
    laid = secret.with_name(f".key.pem.{os.getpid()}.partial")
    for lay in (lambda: laid.symlink_to(target), lambda: laid.touch(0o666)):
        lay()
        with pytest.raises(FileExistsError):
            write(secret, b"secret")
        assert (target.read_text(), secret.exists()) == ("", False)
        laid.unlink(missing_ok=True)


def test_what_is_made_in_a_checkout_is_not_committed(tmp_path: Path) -> None:
    try:
        subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    make(tmp_path / "certs")
    said = ["git", "-C", str(tmp_path), "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.run(said, check=True, capture_output=True, text=True).stdout == ""


def test_a_rig_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a name"):
        make(tmp_path / "certs", rigs=["../etc"])


def test_without_the_extra_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("certs", "authority"):
        monkeypatch.delitem(sys.modules, f"deploy.local.{name}", raising=False)
        monkeypatch.delattr(deploy.local, name, raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for words in (["certs", "x"], ["demo", "--secure"]):
        assert cli.main(words) == 1
        line = "vergence: error: cryptography is not installed; in a checkout of vergence: pip install '.[certs]'"
        assert line in capsys.readouterr().err


def test_openssl_agrees(certs: Path) -> None:
    files = [str(certs / name / "certificate.pem") for name in FOLDERS]
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(certs / "authority" / "authority.pem"), *files]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert done.returncode == 0, done.stdout + done.stderr
