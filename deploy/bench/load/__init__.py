"""Load on a center, open loop, through its own gRPC door: `vergence bench load`."""

from deploy.bench.load.command import add_arguments, run

__all__ = ["add_arguments", "run"]
