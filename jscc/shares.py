"""Shares that are probabilities: of pictures of a kind, or of links in a state.

Checked by hand, as all settings of a training are: a line names the option that was typed, a sum runs over several
fields, and `dataclasses.replace` checks again. pydantic, which reads configuration files, has words of its own.
"""

from collections.abc import Sequence


def check_shares(part: str, settings: object, names: Sequence[str]) -> None:
    """Refuse shares that cannot be.

    part      what the settings are called on the command line, for the message
    settings  has an attribute for each of `names`
    raises    ValueError if one of the shares is not in 0...1, or if they are more than 1 together
    """
    shares = {f"{part}.{name}": getattr(settings, name) for name in names}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is {share}; it must be in 0...1")
    if sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"{' + '.join(shares)} is {sum(shares.values()):g}; it must be at most 1")
