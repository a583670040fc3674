"""YAML as configurations are written in it: safe types, words that are words, no aliases."""

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """YAML's safe types with two differences: off, on, yes and no are text, as in YAML 1.2, and aliases are errors.

    A setting may be called `off`; and with aliases a file of 271 bytes becomes gigabytes, or a list that holds itself.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"an alias (*{event.anchor}); write its value out", event.start_mark
            )
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, re.compile("^(?:true|True|TRUE|false|False|FALSE)$") if tag == "tag:yaml.org,2002:bool" else rule)
        for tag, rule in rules
    ]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str) -> tuple[yaml.Node | None, Any]:
    """The node tree, and the values. raises yaml.YAMLError, ValueError, OverflowError, RecursionError"""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
