"""Change single numbers of a settings dataclass from the command line: `codec.epipolar=false mixture.mono_share=0`."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Final, TypeVar

Settings = TypeVar("Settings")

PARTS: Final = ("codec", "mixture", "draws")


def changed(settings: Settings, changes: Sequence[str], part: str) -> Settings:
    """`settings` with every change "part.key=value" of this part; values are JSON, lists become tuples.

    raises  ValueError that names what is not understood: another part than `PARTS`, an unknown key, a value of another
            kind than the one it replaces, or one that the settings themselves refuse
    """
    new: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        owner, _, key = name.partition(".")
        if not equals or owner not in PARTS:
            raise ValueError(f"--set {change!r}: write PART.KEY=VALUE, with PART one of {', '.join(PARTS)}")
        if owner != part:
            continue
        fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
        if key not in fields:
            raise ValueError(f"--set {change!r}: unknown key {key!r}; {part} has {', '.join(fields)}")
        new[key] = _value(text, fields[key], change)
    replaced: Settings = dataclasses.replace(settings, **new)  # type: ignore[type-var]
    return replaced


def _value(text: str, old: object, change: str) -> object:
    """JSON text as the type of the value that it replaces; so are the items of a list."""
    try:
        value = json.loads(text) if not isinstance(old, str) else text
    except json.JSONDecodeError:
        value = text
    if isinstance(old, tuple) and isinstance(value, list) and len(value) == len(old):
        return tuple(_like(item, before, old, change) for item, before in zip(value, old, strict=True))
    return _like(value, old, old, change)


def _like(value: object, old: object, whole: object, change: str) -> object:
    """`value` if it is of the type of `old`, an integer also as a float."""
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if type(value) is not type(old):
        raise ValueError(f"--set {change!r}: the value must be like {json.dumps(whole)}")
    return value
