#!/usr/bin/env bash
# Write docker/requirements-*.txt: every package of the images with its version and hashes.
#   docker/lock.sh              after setup.cfg has changed
#   docker/lock.sh --upgrade    to take newer versions
# It needs pip-tools, on Linux and the Python of the Dockerfile's base image: packages say what they
# need by Python version.
set -euo pipefail
cd "$(dirname "$0")/.."
python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Run this with Python 3.11.")'
more=("$@")

compile() {
    python -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras \
        --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host \
        --no-emit-find-links --no-emit-options "${more[@]}" "$@"
}

compile setup.cfg --extra openvino --extra serve --extra litert -o docker/requirements-cpu.txt
compile setup.cfg --extra gpu --extra serve --extra litert -c docker/requirements-cpu.txt \
    -o docker/requirements-gpu.txt
# What wheels are built with: ours, and those of packages that have none.
printf 'setuptools\nwheel\n' |
    compile - -c docker/requirements-cpu.txt -o docker/requirements-build.txt
