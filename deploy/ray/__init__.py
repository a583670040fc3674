"""The decoder as a Ray Serve application, for centers with `engine.kind: ray`."""
