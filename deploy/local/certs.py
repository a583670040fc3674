"""Certificates and tokens for trying out and for small installations, in one command.

DIR gets a folder for each service, camera and person; each holds all that its owner needs and nothing of anybody
else's. DIR/authority/key.pem signs certificates: keep it away from the services' hosts.
"""

import argparse
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.authority import AUTHORITY_DAYS, Authority, hosts_of, is_host
from deploy.local.secured import BOOK
from wire.contract.names import check_rig
from wire.runtime.errors import UserError, cause
from wire.runtime.files import replacing
from wire.security import token_file, tokens
from wire.security.tokens import Role
from wire.views import View

DEFAULT_RIG: Final = "demo"
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
SERVERS: Final = {"center": ("center",), "emulator": ("emulator", "channel-emulator")}
"""Folders of services that others call, and names that they have in compose and Kubernetes."""
_BOOK_HEAD: Final = """\
# Who may come in, by the SHA-256 of each token. `vergence certs --renew` copies this for center and emulator.
# To withdraw a token, take its line away, here and where the services read it. To replace one, delete the file
# `token` in its folder and renew.
tokens:
"""


@dataclass(frozen=True)
class Party:
    """Somebody with a folder of its own. hosts: by which it is called, for a service; entry: its token's, in YAML."""

    folder: str
    entry: str = ""
    hosts: Sequence[str] = field(default=())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="by which services are called; may be repeated"
    )
    parser.add_argument(
        "--rig",
        action="append",
        default=[],
        metavar="RIG",
        help="with two cameras; may be repeated (default: demo)",
    )
    parser.add_argument("--days", type=float, default=365.0, help="that certificates count (default %(default)g)")
    parser.add_argument(
        "--renew", action="store_true", help="new certificates of the same authority; tokens that are there stay"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make them and say what to do with them."""
    folder: Path = arguments.folder
    made = make(folder, arguments.host, arguments.rig, days=arguments.days, renew=arguments.renew)
    print(f"{folder}: an authority, {len(made)} certificates and {BOOK}; each folder is for one host or person:")
    print("  " + ", ".join(made))
    print("SECURITY.md says who gets which, docs/deploy.md how services are told")
    return 0


def make(
    folder: Path, hosts: Sequence[str] = (), rigs: Sequence[str] = (), *, days: float = 365.0, renew: bool = False
) -> list[str]:
    """Write everything.

    hosts    further names and addresses by which center and emulator are called
    rigs     whose two cameras get tokens; none is the demo's
    days     that certificates count; the authority counts ten years
    renew    take the authority and the tokens that are there, and keep the hosts and rigs of before
    returns  names of the folders
    raises   UserError if the folder is in use, or cannot be written
    """
    if not 0.0 < days <= AUTHORITY_DAYS:
        raise UserError(f"--days is {days:g}; give a number above 0, at most the authority's {AUTHORITY_DAYS}")
    for host in hosts:
        if not is_host(host):
            raise UserError(f"--host {host!r} is no name of a host; give a name or an address without a port")
    try:
        authority = _authority(folder, renew)
        if not (folder / ".gitignore").exists():
            write(folder / ".gitignore", b"*\n", 0o644)  # made in a checkout, keys are not to be committed
        parties = list(_parties(folder, hosts, rigs))
        lines = _make_tokens(folder, parties)
        for party in parties:
            signed, place = authority.sign(f"vergence {party.folder}", party.hosts, days), folder / party.folder
            write(place / "authority.pem", authority.pem().certificate, 0o644)
            write(place / "certificate.pem", signed.certificate, 0o644)
            write(place / "key.pem", signed.key)
            if party.folder in SERVERS:
                write(place / BOOK, lines)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {cause(error)}; give a folder that can be written") from None
    return [party.folder for party in parties]


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file in one move; nobody else can read a secret at any moment. raises OSError"""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # one that is there may be a link, or of somebody who waits to read it
    with replacing(path) as partial, os.fdopen(os.open(partial, flags, mode), "wb") as file:
        file.write(data)


def _authority(folder: Path, renew: bool) -> Authority:
    """raises UserError if there is one already, or none to renew from"""
    place = folder / "authority"
    _check_ours(folder)
    certificate, key = place / "authority.pem", place / "key.pem"
    if renew:
        try:
            authority = Authority.read(certificate.read_bytes(), key.read_bytes())
        except (OSError, ValueError):
            if folder.exists() and any(folder.iterdir()):
                raise UserError(
                    f"the authority in {place} is lost, damaged or has a password; bring it back, or make a new folder"
                    " and exchange all at once"
                ) from None
            raise UserError(f"{place} holds no authority to renew from; leave --renew away to make one") from None
        if authority.ended():
            raise UserError(f"the authority of {folder} has expired; make a new folder, and exchange all at once")
        return authority
    if place.exists():
        raise UserError(f"{folder} holds certificates already; --renew makes new ones of the same authority")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; give a new folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Authority.new()
    write(certificate, made.pem().certificate, 0o644)
    write(key, made.pem().key)
    return made


def _check_ours(folder: Path) -> None:
    """raises UserError if somebody else could exchange what is in the folder"""
    if not folder.exists():
        return
    about = folder.stat()
    if about.st_uid != os.geteuid() or about.st_mode & stat.S_IWOTH:
        raise UserError(f"{folder} is somebody else's, or everybody may write to it; give a new folder")


def _parties(folder: Path, hosts: Sequence[str], rigs: Sequence[str]) -> Iterator[Party]:
    """Those that are asked for, and those that are there. raises OSError, UserError"""
    rigs = [*(check_rig(rig) for rig in rigs), *_rigs(folder)] or [DEFAULT_RIG]
    former = [name for service in SERVERS for name in _former_hosts(folder / service / "certificate.pem")]
    own = {name for names in SERVERS.values() for name in names}
    for service, names in SERVERS.items():
        further = [*hosts, *(name for name in former if name not in own)]
        entry = f"role: {Role.OPERATOR}" if service == "center" else ""  # the page sets links in its name
        yield Party(service, entry, tuple(dict.fromkeys([*names, *LOOPBACK, *further])))
    for rig in dict.fromkeys(rigs):
        for view in View:
            yield Party(f"{rig}-{view}", f"role: {Role.CAMERA}, rig: '{rig}', view: {view}")
    for role in (Role.VIEWER, Role.OPERATOR, Role.METRICS):
        yield Party(role.value, f"role: {role}")


def _former_hosts(certificate: Path) -> list[str]:
    """raises OSError, and UserError if it can be read and tells nothing"""
    if not certificate.exists():
        return []
    try:
        return hosts_of(certificate.read_bytes())
    except ValueError:
        raise UserError(f"{certificate} is damaged; delete it, and give every --host again") from None


def _rigs(folder: Path) -> list[str]:
    """Rigs that have folders already."""
    lefts = sorted(place.name.removesuffix("-left") for place in folder.glob("*-left"))
    return [rig for rig in lefts if (folder / f"{rig}-right").is_dir()]


def _make_tokens(folder: Path, parties: Sequence[Party]) -> bytes:
    """A token for each party that has none yet. returns the book's file

    raises  OSError, and UserError if the book is damaged, or lost: a new one would shut out whoever has a token
    """
    book, text = folder / BOOK, _BOOK_HEAD
    if book.exists():
        token_file.load(book)
        text = book.read_text(encoding="utf-8")
    elif had := [each.folder for each in parties if (folder / each.folder / "token").exists()]:
        raise UserError(
            f"{book} is missing, and {', '.join(had)} have tokens; bring it back, for example that of {folder}/center,"
            " or delete each file `token` for new ones"
        )
    new: dict[Path, str] = {}
    for party in parties:
        file = folder / party.folder / "token"
        if party.entry and not file.exists():
            new[file] = token = tokens.new_token()
            sha256 = tokens.digest(token).hex()
            former = rf"^ *- {{name: '{re.escape(party.folder)}',.*\n?"  # of a token whose file was taken away
            text = re.sub(former, "", text, flags=re.MULTILINE)
            text = f"{text.rstrip()}\n  - {{name: '{party.folder}', {party.entry}, sha256: '{sha256}'}}\n"
    write(book, text.encode())
    for file, token in new.items():  # after the book: one that is missing is made anew, one that no book has is refused
        write(file, f"{token}\n".encode())
    return text.encode()
