"""All links of an emulator: the configured ones from the start, others as their cameras come."""

from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.config import EmulatorConfig
from channel_emulator.links.link import Link
from wire.contract.handshake import StreamRefused
from wire.views import View

Name = tuple[str, View]


class Links:
    """Finds links by (rig, view), and tells subscribers of changes."""

    def __init__(self, config: EmulatorConfig, now: float) -> None:
        self._config = config
        self._links: dict[Name, Link] = {}
        self._configured = {(link.rig, link.view) for link in config.links}
        # Of cameras whose stream the center has not accepted yet; gone with their streams.
        self._candidates: WeakValueDictionary[Name, Link] = WeakValueDictionary()
        self._subscribers: dict[int, Callable[[Link], None]] = {}
        self._subscriptions = 0
        for link in config.links:
            name = (link.rig, link.view)
            self._links[name] = self._make(name, now)

    def __iter__(self) -> Iterator[Link]:
        """By rig, left before right."""
        return iter([self._links[name] for name in sorted(self._links)])

    def find(self, rig: str, view: View) -> Link | None:
        return self._links.get((rig, view))

    def candidate(self, rig: str, view: View, now: float) -> Link:
        """The link of a camera that asks for it; one that is not configured gets the default settings.

        It is listed from `keep` on, so that names which the center refuses fill neither memory nor metrics.

        raises  StreamRefused if every link is in use
        """
        name = (rig, view)
        link = self._links.get(name) or self._candidates.get(name)
        if link is None:
            if len(self._links) >= self._config.max_links and self._unused() is None:
                raise StreamRefused("full", f"all {self._config.max_links} links are in use; raise max_links")
            link = self._candidates[name] = self._make(name, now)
        return link

    def keep(self, link: Link) -> Link | None:
        """The center has accepted the camera of a link.

        returns  a link that was forgotten to make room: not configured, and without a camera for longest
        raises   StreamRefused if every link is in use by now
        """
        name = (link.rig, link.view)
        if name in self._links:
            self._links[name] = self._links.pop(name)  # the newest last, so that the first unused one is the oldest
            return None
        forgotten = None
        if len(self._links) >= self._config.max_links:
            forgotten = self._unused()
            if forgotten is None:
                raise StreamRefused("full", f"all {self._config.max_links} links are in use; raise max_links")
            del self._links[forgotten.rig, forgotten.view]
        self._links[name] = link
        return forgotten

    def _unused(self) -> Link | None:
        links = (link for name, link in self._links.items() if name not in self._configured and not link.connected)
        return next(links, None)

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
        return Link(*name, settings.settings(chance), chance, now)
