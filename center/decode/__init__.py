"""The live path: pairer, batcher, pipeline and the engines behind it."""
