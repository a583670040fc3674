"""The token book as a file, read again when it changes.

    tokens:
      - {name: front-left, role: camera, rig: front, view: left, sha256: 9f86d0…}
      - {name: anna, role: operator, sha256: 60303a…, expires: 2027-01-31}

A token is withdrawn by taking its entry away: calls that begin a second later are refused, and streams that stand are
ended within some seconds (`stay.py`).
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from wire.contract.names import RigName
from wire.runtime import yaml_config
from wire.runtime.yaml_config import SECRET, Section
from wire.security.followed import Followed
from wire.security.secret_files import located
from wire.security.tokens import Entry, Principal, Role, TokenBook
from wire.views import View


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}", text):
        raise ValueError("use 1 to 100 letters, digits, '_', '.', '@' and '-', no sign first")
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("give the SHA-256 of the token, 64 hexadecimal digits: printf %s TOKEN | sha256sum")
    return text.lower()


def _instant(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("give a day or an instant in UTC, such as 2027-01-31 or 2027-01-31T12:00:00") from None
    return text


class TokenSection(Section):
    """One entry of the file."""

    name: Annotated[str, AfterValidator(_name)]
    role: Role
    sha256: Annotated[str, AfterValidator(_sha256), SECRET]  # somebody may have written the token itself here
    rig: RigName | None = None
    view: View | None = None
    expires: Annotated[str, AfterValidator(_instant)] | None = None

    @model_validator(mode="after")
    def _fits_its_role(self) -> Self:
        if self.role is Role.CAMERA and self.rig is None:
            raise ValueError("role camera needs 'rig'; set it")
        for key in ("rig", "view"):
            if self.role is not Role.CAMERA and getattr(self, key) is not None:
                raise ValueError(f"'{key}' does nothing with role {self.role.value}; remove it")
        return self

    def entry(self) -> Entry:
        expires = None
        if self.expires is not None:
            instant = datetime.fromisoformat(self.expires)
            expires = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
        return Entry(Principal(self.name, self.role, self.rig, self.view), bytes.fromhex(self.sha256), expires)


class _TokensFile(Section):
    tokens: Annotated[tuple[TokenSection, ...], BeforeValidator(lambda given: () if given is None else given)]
    """None, where the last token was withdrawn; were that an error, the former book would stay in force."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [each.name for each in self.tokens]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"two tokens are called '{twice}'; rename one")
        seen: dict[str, str] = {}
        for each in self.tokens:
            if each.sha256 in seen:
                raise ValueError(f"'{seen[each.sha256]}' and '{each.name}' have the same token; make another one")
            seen[each.sha256] = each.name
        return self


def load(path: Path | str) -> TokenBook:
    """The book in a file.

    raises  UserError that names the file, the line, the key and what is allowed; never a token
    """
    file = yaml_config.load(_TokensFile, located(path), "", {})
    return TokenBook(each.entry() for each in file.tokens)


class TokenFile:
    """A book that follows its file. One that cannot be read keeps the former one, and is told once."""

    def __init__(self, path: Path | str) -> None:
        """raises UserError if the file cannot be read now"""
        self._followed = Followed([located(path)], lambda: load(path), "token book")

    def authenticate(self, token: str, now: float) -> Principal:
        """As `TokenBook.authenticate`, by the file as it is now, or was a second ago. now: Unix time, seconds"""
        return self._followed.value(now).authenticate(token, now)
