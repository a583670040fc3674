"""What two services agree on beyond the protobuf files: arrays, names, handshakes, take-overs, settings of links."""
