"""The stream to the link: one session at a time, credit, reconnection."""
