"""The daemon on a camera host: camera -> JSCE (ONNX) -> complex symbols -> uplink. No torch at run time."""
