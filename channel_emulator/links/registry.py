"""All links of an emulator: the configured ones from the start, others while their cameras need them."""

from collections.abc import Callable, Iterator
from typing import Final

from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.config import EmulatorConfig
from channel_emulator.links.link import Link
from wire.contract.handshake import Refusal, StreamRefused
from wire.views import View

Name = tuple[str, View]

FORGET_SECONDS: Final = 300.0
"""A link that is not configured is forgotten when it has had no camera for so long; earlier if room is needed."""


class Links:
    """Finds links by (rig, view), and tells subscribers of changes. No clock: `now` is in seconds and only grows.

    The link of a rig that is not configured is listed only once the center has taken its camera (`admit`), so that
    stray Hellos leave nothing behind.
    """

    def __init__(self, config: EmulatorConfig, now: float) -> None:
        self._config = config
        self._subscribers: dict[int, Callable[[Link], None]] = {}
        self._subscriptions = 0
        self._configured = {(link.rig, link.view): link.over(config.defaults) for link in config.links}
        self._links: dict[Name, Link] = {name: self._make(name, now) for name in self._configured}
        self._unused_since: dict[Name, float] = {}
        self.on_forget: list[Callable[[Link], None]] = []
        """Called with each link that is listed no more."""

    def __iter__(self) -> Iterator[Link]:
        """By rig, left before right."""
        return iter([self._links[name] for name in sorted(self._links)])

    def __len__(self) -> int:
        return len(self._links)

    @property
    def most(self) -> int:
        """How many links there may be."""
        return self._config.max_links

    def find(self, rig: str, view: View) -> Link | None:
        return self._links.get((rig, view))

    def candidate(self, rig: str, view: View, now: float) -> Link:
        """The link for a camera that asks to connect; one that is not configured gets the default settings.

        rig     a valid name
        raises  StreamRefused (full) if there is no room for another link
        """
        name = (rig, view)
        link = self._links.get(name)
        if link is not None:
            return link
        self._check_room()
        return self._make(name, now)

    def admit(self, link: Link) -> None:
        """A camera transmits over the link from now on: it is listed.

        raises  StreamRefused (full) if others have taken the room meanwhile
        """
        name = (link.rig, link.view)
        if name not in self._links:
            self._check_room()
            if len(self._links) >= self.most:
                self._forget(min(self._unused_since, key=lambda each: self._unused_since[each]))
            self._links[name] = link
        self._unused_since.pop(name, None)
        link.connected = True
        self.changed(link)

    def release(self, link: Link, now: float) -> None:
        """The link's camera is gone; harmless for a link that was never admitted."""
        name = (link.rig, link.view)
        if self._links.get(name) is not link:
            return
        link.connected = False
        if name not in self._configured:
            self._unused_since[name] = now
        self.changed(link)

    def sweep(self, now: float) -> None:
        """Forget links that are not configured and have had no camera for FORGET_SECONDS."""
        for name, since in list(self._unused_since.items()):
            if now - since >= FORGET_SECONDS:
                self._forget(name)

    def subscribe(self, receive: Callable[[Link], None]) -> Callable[[], None]:
        """Call `receive` with each link that changed; returns what ends the subscription."""
        self._subscriptions += 1
        ticket = self._subscriptions
        self._subscribers[ticket] = receive
        return lambda: self._subscribers.pop(ticket, None) and None

    def changed(self, link: Link) -> None:
        """Tell of a change of settings, of the SNR, or of the connection."""
        for receive in list(self._subscribers.values()):
            receive(link)

    def _check_room(self) -> None:
        """raises StreamRefused (full) if no further link fits, nor would if one without a camera were forgotten"""
        if len(self._links) >= self.most and not self._unused_since:
            raise StreamRefused(
                Refusal.FULL, f"all {self.most} links are in use; raise max_links or stop other cameras"
            )

    def _forget(self, name: Name) -> None:
        del self._unused_since[name]
        link = self._links.pop(name)
        for forget in self.on_forget:
            forget(link)

    def _make(self, name: Name, now: float) -> Link:
        settings = self._configured.get(name, self._config.defaults)
        streams = RandomStreams(self._config.seed, *name)
        return Link(*name, settings.settings(streams), streams, now)
