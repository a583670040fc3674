"""The channel emulator: a transparent stand-in for two radio links. Symbols in, faded and noisy symbols and CSI out."""
