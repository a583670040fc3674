"""The systems that the bench compares."""
