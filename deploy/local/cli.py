"""The `vergence` command."""

import argparse
import sys

from deploy.bench import agree, faults, grid, live, stale
from deploy.local import demo
from wire.problem import Problem


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="vergence", description="Two cameras, two noisy links, one decoder.")
    commands = parser.add_subparsers(dest="command", required=True)
    added = commands.add_parser("demo", help="the whole system on this machine", description=demo.__doc__)
    demo.add_arguments(added)
    added.set_defaults(run=demo.run)
    bench = commands.add_parser("bench", help="measure the system on this machine").add_subparsers(required=True)
    for name, module in {"live": live, "faults": faults, "agree": agree, "grid": grid, "stale": stale}.items():
        added = bench.add_parser(name, help=module.__doc__, description=module.__doc__)
        module.add_arguments(added)
        added.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except Problem as problem:
        for line in str(problem).splitlines():
            print(f"vergence: error: {line}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
