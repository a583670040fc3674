"""The bench: every system of the paper on the same pairs, over the same channels. `python -m jscc.evaluate --help`.

`system.py` is the door: whatever has its `transmit` can be compared. docs/evaluation.md shows how to add one.
"""
