"""The bench: every system of the paper on the same pairs, over the same channels. `python -m jscc.evaluate --help`.

Whatever has the `transmit` of `jscc.evaluate.systems.base.System` can be compared; docs/evaluation.md shows how to add
one.
"""
