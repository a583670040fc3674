"""Measurements against other people's software; developers run them, users do not get them."""
