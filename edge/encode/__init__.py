"""From a picture to a frame of symbols: encoder, references, export."""
