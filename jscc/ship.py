"""`python -m jscc.ship --run runs/x --out my-codec --val DIR`: a codec of a training run; see `jscc.release.bundle`."""

from jscc.release.bundle import main

if __name__ == "__main__":
    main()
