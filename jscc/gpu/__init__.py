"""A training for a host that lends its GPU for some minutes: `python3 -m jscc.gpu.job`."""
