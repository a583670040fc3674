"""Words of the contract that are closed sets: why a frame ended where it did, and the stages that it brings times of.

They travel as text, so that they stand in metrics and logs as they are; an enum in their place would break the wire.
`Reason` in a signature lets mypy hold the services to the set, and a test the comments in `proto/`.
"""

from typing import Final, Literal, get_args

Reason = Literal["shape", "type", "not_finite", "power", "sequence", "late", "overload", "outage", "loss"]
"""Of an Acknowledgement that is not `accepted`. docs/errors.md says what each means and what to do."""

REASONS: Final[frozenset[str]] = frozenset(get_args(Reason))

Stage = Literal["capture", "encode", "channel"]
"""That a frame passes before the center; times of other stages are not counted."""

STAGES: Final[tuple[str, ...]] = get_args(Stage)
