"""The networks: encoder, joint decoder with cross attention, and their weights on disk."""
