#!/usr/bin/env bash
# Write docker/requirements-*.txt: every package of the images with its version and hashes.
#   docker/lock.sh              after setup.cfg has changed
#   docker/lock.sh --upgrade    to take newer versions
# It needs uv (pip install uv). The Python version is that of the Dockerfile's base image.
set -euo pipefail
cd "$(dirname "$0")/.."
more=("$@")
limits=$(mktemp)
trap 'rm -f "$limits"' EXIT
# Its 1.3 is for Python below 3.11; uv does not look at upper bounds of Python, pip does.
echo 'backports-strenum < 1.3' >"$limits"

compile() {
    uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 -c "$limits" \
        "${more[@]}" "$@"
}

compile setup.cfg --extra openvino --extra serve --extra litert -o docker/requirements-cpu.txt
compile setup.cfg --extra gpu --extra serve --extra litert -c docker/requirements-cpu.txt \
    -o docker/requirements-gpu.txt
# What wheels are built with: ours, and those of packages that have none.
printf 'setuptools\nwheel\n' |
    compile - -c docker/requirements-cpu.txt -o docker/requirements-build.txt
