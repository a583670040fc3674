"""Every rig that is connected, or was a moment ago: who is let in, and who is forgotten."""

from collections.abc import Iterator

from center.ingest.rig import Rig
from wire.contract.handshake import Refusal, StreamRefused, check_name
from wire.geometry import DEFAULT_SIZE, PictureSize


class Rigs:
    """Every rig that is known, at most `most`; those of larger pictures count as several (`PictureSize.weight`), which
    bounds what all of them may hold: the pixels of so many small pictures, and half as many again."""

    def __init__(
        self, tolerance: float | None, patience: float, silence: float, most: int, reunite: float = 0.0
    ) -> None:
        self._tolerance, self._patience, self._silence, self._most = tolerance, patience, silence, most
        self._reunite = reunite
        self._rigs: dict[str, Rig] = {}

    def __iter__(self) -> Iterator[Rig]:
        return iter(list(self._rigs.values()))

    def get(self, name: str) -> Rig | None:
        return self._rigs.get(name)

    def admit(self, name: str, size: PictureSize = DEFAULT_SIZE) -> Rig:
        """The rig of this name, new if it has to be.

        size    of its pictures
        raises  StreamRefused if the name is no name, or there are too many rigs
        """
        check_name(name)
        rig = self._rigs.get(name)
        if rig is None or size.weight > rig.size.weight:
            self._check_room(size, sum(each.size.weight for each in self._rigs.values() if each is not rig))
        if rig is None:
            settings = self._tolerance, self._patience, self._silence, self._reunite
            rig = self._rigs[name] = Rig(name, *settings, size)
        return rig

    def _check_room(self, size: PictureSize, taken: int) -> None:
        """taken: as how many rigs the others count. raises StreamRefused (full)"""
        if taken + size.weight <= self._most:
            return
        raise StreamRefused(
            Refusal.FULL,
            f"{taken} of {self._most} rigs are known, and one of {size} counts as {size.weight}; raise links.max_rigs"
            " or use another center",
        )

    def change_pairing(self, tolerance: float | None, patience: float) -> None:
        """New tolerance and patience, seconds, for every rig from now on; tolerance None is half a frame period."""
        self._tolerance, self._patience = tolerance, patience
        for rig in self._rigs.values():
            rig.retune(tolerance, patience)

    def evict(self, now: float, idle: float) -> list[str]:
        """Forget rigs without a camera for `idle` seconds; gives their names."""
        gone = [rig.name for rig in self if not rig.connected() and now - rig.active_at >= idle]
        for name in gone:
            del self._rigs[name]
        return gone
