"""All links of an emulator: the configured ones from the start, others as their cameras come."""

from collections.abc import Callable, Iterator

from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.config import EmulatorConfig
from channel_emulator.links.link import Link
from wire.runtime.errors import UserError
from wire.views import View

Name = tuple[str, View]


class TooManyLinks(UserError):
    """No more links fit."""


class Links:
    """Finds links by (rig, view), and tells subscribers of changes."""

    def __init__(self, config: EmulatorConfig, now: float) -> None:
        self._config = config
        self._links: dict[Name, Link] = {}
        self._subscribers: dict[int, Callable[[Link], None]] = {}
        self._subscriptions = 0
        for link in config.links:
            self._make((link.rig, link.view), now)

    def __iter__(self) -> Iterator[Link]:
        """By rig, left before right."""
        return iter([self._links[name] for name in sorted(self._links)])

    def find(self, rig: str, view: View) -> Link | None:
        return self._links.get((rig, view))

    def take(self, rig: str, view: View, now: float) -> Link:
        """The link of a camera that connects; one that is not configured gets the default settings.

        raises  TooManyLinks, so that stray rig names cannot fill memory and metrics
        """
        link = self._links.get((rig, view))
        if link is not None:
            return link
        if len(self._links) >= self._config.max_links:
            raise TooManyLinks(f"all {self._config.max_links} links are taken; raise max_links or restart the emulator")
        return self._make((rig, view), now)

    def subscribe(self, hear: Callable[[Link], None]) -> Callable[[], None]:
        """Call `hear` with each link that changed; returns what ends the subscription."""
        self._subscriptions += 1
        ticket = self._subscriptions
        self._subscribers[ticket] = hear
        return lambda: self._subscribers.pop(ticket, None) and None

    def changed(self, link: Link) -> None:
        """Tell of a change of settings, of the SNR, or of the connection."""
        for hear in list(self._subscribers.values()):
            hear(link)

    def _make(self, name: Name, now: float) -> Link:
        section = next((link for link in self._config.links if (link.rig, link.view) == name), None)
        settings = section.over(self._config.defaults) if section else self._config.defaults
        chance = RandomStreams(self._config.seed, *name)
        self._links[name] = Link(*name, settings.settings(chance), chance, now)
        return self._links[name]
