"""Source and channel codes of the separate schemes: BPG, HEVC, JPEG 2000, LDPC, capacity."""
