"""`python -m jscc.pack FOLDERS --mono FOLDERS --val DIR --out pack.bin`: pictures for training in one small file.

`python -m jscc.train --pack pack.bin` reads it in the place of --pairs, --mono and --val; see `jscc.data.pack`.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from jscc.data.pack import read_pack, write_pack
from wire.runtime.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m jscc.pack", description="Pictures for training -> one file")
    parser.add_argument("pairs", type=Path, nargs="*", help="folders with left/ and right/")
    parser.add_argument("--mono", type=Path, nargs="*", default=[], help="folders of single pictures")
    parser.add_argument("--val", type=Path, help="folder with left/ and right/, kept without loss")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit-mb", type=float, default=40.0, help="most megabytes (1e6 bytes); default 40")
    parser.add_argument(
        "--rows",
        type=int,
        default=256,
        help="taller pictures are area-resized, as far as 256 columns are left; at least 128, default 256",
    )
    parser.add_argument("--quality", type=int, help="of WebP, 1 to 100; default: the best that fits")
    args = parser.parse_args(arguments)
    if not args.pairs and not args.mono:
        parser.error("no pictures to pack: give folders of pairs, or --mono")
    if args.quality is not None and not 1 <= args.quality <= 100:
        parser.error(f"--quality is {args.quality}; it must be in 1...100")
    if not 0 < args.limit_mb < math.inf:
        parser.error(f"--limit-mb is {args.limit_mb}; it must be above 0, and finite")
    if args.out.is_dir() or not args.out.parent.is_dir():
        parser.error(f"--out {args.out} is a folder, or its folder does not exist; name a file in one that does")
    try:
        size, quality = write_pack(
            args.out,
            args.pairs,
            args.mono,
            args.val,
            rows=args.rows,
            limit=round(args.limit_mb * 1e6),
            quality=args.quality,
        )
        pack = read_pack(args.out)
    except (OSError, ValueError, UserError) as error:
        sys.exit(f"{parser.prog}: {error}")
    counts = pack.sources.counts()
    print(
        f"{args.out}: {size / 1e6:.1f} MB at WebP quality {quality}; {counts['colour_pairs']} colour pairs,"
        f" {counts['grey_pairs']} grey pairs, {counts['single']} single, {len(pack.val)} validation pairs without loss"
    )


if __name__ == "__main__":
    main()
