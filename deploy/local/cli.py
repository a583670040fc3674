"""The `vergence` command."""

import argparse
import sys

from deploy.local import demo
from wire.problem import Problem


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="vergence", description="Two cameras, two noisy links, one decoder.")
    commands = parser.add_subparsers(dest="command", required=True)
    added = commands.add_parser("demo", help="the whole system on this machine", description=demo.__doc__)
    demo.add_arguments(added)
    added.set_defaults(run=demo.run)
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
