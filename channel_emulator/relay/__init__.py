"""Streams: from an edge, through a link, to the center."""
