"""The way in: streams, rigs, clocks, and symbols checked and equalised."""
