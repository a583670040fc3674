#!/bin/sh
# How an image's environment comes about; runs inside `docker build` only.
#   vergence-install dependencies EXTRA    what pyproject.toml asks for, before the sources are there
#   vergence-install vergence [FILE ...]   the wheel itself, with these files of each shipped codec and no others
set -eu
into() { pip --python /opt/vergence/bin/python3 install "$@"; }

case $1 in
  dependencies)
    python3 - "$2" >/tmp/requirements.txt <<'LIST'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras, wanted = project["optional-dependencies"], list(project["dependencies"]) + [f"vergence[{sys.argv[1]}]"]
while wanted:
    line = wanted.pop()
    if line.startswith("vergence["):  # an extra that builds upon others
        wanted += [each for name in line[9:-1].split(",") for each in extras[name]]
    else:
        print(line)
LIST
    into --constraint constraints.txt --requirement /tmp/requirements.txt
    # What a service never loads: tests, tools that convert models, and the C library that Python's module already holds.
    cd /opt/vergence/lib/python3*/site-packages
    find numpy -type d -name tests -prune -exec rm -rf {} +
    rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/capi/libonnxruntime.so* ;;
  vergence)
    into --no-deps --force-reinstall /wheels/vergence-*.whl
    shift
    cd /opt/vergence/lib/python3*/site-packages/jscc/weights
    for file in */*; do
      case " card.md SHA256SUMS $* " in *" ${file#*/} "*) ;; *) rm "$file" ;; esac
    done ;;
  *)
    echo "unknown step '$1'; allowed: dependencies EXTRA, vergence [FILE ...]" >&2; exit 2 ;;
esac
