#!/bin/sh
# Take out of a virtual environment what runs nothing: symbols for debuggers, headers to compile
# against, and the libraries' own tests. What is left is compiled, so that pods start faster.
set -eu
site=$(echo "$1"/lib/python3.*/site-packages)

rm -rf "$site"/tensorflow/include "$site"/pyarrow/include
find "$site" -type d -name tests -prune -exec rm -rf {} +
for package in "$site"/tfx* "$site"/tensorflow* "$site"/apache_beam; do
    [ ! -d "$package" ] || find "$package" -name '*_test.py' -delete
done
find "$site" \( -name '*.pyi' -o -name '*.a' \) -delete

# Wheels bring some libraries in NAME.libs folders; those were patched and must not be touched.
find "$site" -name '*.so*' -type f -size +1M -not -path '*.libs/*' \
    -exec strip --strip-unneeded {} +

"$1"/bin/python -m compileall -q -j 0 "$site" >/dev/null || true
"$1"/bin/python -W ignore -c 'import grpc, ml_metadata, pyarrow.parquet'
[ ! -d "$site"/tensorflow ] || TF_CPP_MIN_LOG_LEVEL=3 "$1"/bin/python -W ignore -c \
    'import scipy.stats, sklearn, tensorflow, apache_beam'
