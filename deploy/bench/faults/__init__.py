"""Faults on purpose: what is shown meanwhile, what is lost, when all is well again: `vergence bench faults`."""

from deploy.bench.faults.command import add_arguments, run

__all__ = ["add_arguments", "run"]
