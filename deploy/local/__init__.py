"""The demo on one machine: its footage and the runner that starts every service."""
