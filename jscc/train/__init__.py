"""Training: `python -m jscc.train`; settings, start, loop, step, state, validation."""
