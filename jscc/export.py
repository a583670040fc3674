"""`python -m jscc.export --weights FILE --out DIR`: encoder and decoder as ONNX files; see `jscc.release.onnx`."""

from jscc.release.onnx import main

if __name__ == "__main__":
    main()
