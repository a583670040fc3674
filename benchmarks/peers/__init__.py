"""The center beside general model servers: one decoder, the same cores and pictures, in turns: `make bench-peers`."""
