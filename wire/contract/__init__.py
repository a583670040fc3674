"""What two services agree on beyond the protobuf files: how arrays and pictures travel."""
