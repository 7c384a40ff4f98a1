#!/usr/bin/env bash
# Build the wheel and the sdist into dist/, see that they are complete, and install and run the wheel
# where the sources are not. Beside them stand the locked dependencies (CycloneDX) and the digests.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT

# The wheel is built from the sdist, so what the sdist lacks the wheel lacks too.
"$uv" build --quiet --clear --no-create-gitignore --out-dir dist
.venv/bin/twine check --strict dist/*
wheel=$(echo dist/*.whl)

git ls-files penstock components pipelines schemas |
    sed -E 's#^(components|pipelines|schemas)/#penstock/&#' | sort > "$trial/sources"
.venv/bin/python -m zipfile --list "$wheel" | sed 1d | awk '{print $1}' | grep -v dist-info | sort > "$trial/packed"
diff "$trial/sources" "$trial/packed" || { echo "$wheel does not have what git has" >&2; exit 1; }

"$uv" export --quiet --frozen --no-dev --no-hashes --no-emit-project --output-file "$trial/locked.txt"
"$uv" venv --quiet --python .venv/bin/python "$trial/venv"
# The core alone: what that forgets to ask for is missed here.
VIRTUAL_ENV=$trial/venv "$uv" pip install --quiet --constraint "$trial/locked.txt" "$wheel"
(
    cd "$trial"
    export PATH=$trial/venv/bin:$PATH
    unset PYTHONPATH
    penstock --help > /dev/null
    penstock list
    penstock init trial --template functions
    cd trial
    penstock run trial
)

name=$(basename "$wheel" -py3-none-any.whl)
"$uv" export --quiet --frozen --no-dev --all-extras --format cyclonedx1.5 --output-file "dist/$name.cdx.json"
cd dist
sha256sum -- penstock-* | tee SHA256SUMS
