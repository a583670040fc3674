"""Benchmarks: programs, never timed tests. They drive the real services and print what they saw."""
