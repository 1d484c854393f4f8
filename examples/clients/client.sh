#!/usr/bin/env bash
# Ask a server for the classes of a picture, by curl: client.sh http://127.0.0.1:8501 MODEL PICTURE
set -euo pipefail
address=$1 model=$2 picture=$3
printf '{"instances": [{"image_bytes": {"b64": "%s"}}]}' "$(base64 "$picture" | tr -d '\n')" |
    curl --silent --show-error --fail-with-body --max-time 60 \
        --header "Content-Type: application/json" \
        --header "Authorization: Bearer ${KT_SERVE_TOKEN:-}" --data-binary @- \
        "$address/v1/models/$model:predict"
