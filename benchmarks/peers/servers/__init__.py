"""One server a module, each run inside its own environment: `python -m benchmarks.peers.servers.NAME --port P ...`."""
