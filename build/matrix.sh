#!/usr/bin/env bash
# Run the tests with other versions of Python: build/matrix.sh 3.12 3.13
#
# The libraries for them need glibc 2.39. Where the machine's is older, the tests run in a Debian that
# is made for them below .matrix, which needs root and debootstrap. Each version has a copy of the
# sources of its own, since an environment stands in the folder of its sources.
set -euo pipefail
cd "$(dirname "$0")/.."
needed=2.39
debian=trixie

is_new_enough() {
    printf '%s\n' "$needed" "$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)" | sort --version-sort --check=quiet
}

# Environments that are there already stay.
copy_sources() {
    mkdir -p "$1"
    find "$1" -mindepth 1 -maxdepth 1 ! -name .venv ! -name .uv -exec rm -rf {} +
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from - --ignore-failed-read | tar --extract --directory "$1"
}

make_debian() {
    if [ "$(id -u)" != 0 ]; then
        echo "glibc is older than $needed here: run this as root, which makes a Debian $debian" >&2
        exit 1
    fi
    local made=.matrix/$debian.new
    if [ ! -d ".matrix/$debian" ]; then
        command -v debootstrap > /dev/null ||
            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes debootstrap; }
        rm -rf "$made"
        mkdir -p .matrix
        # From where this machine takes its own packages.
        local mirror
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Component: main' |
            grep -v security | head -n 1)
        debootstrap --variant=minbase --include=ca-certificates,g++,git,make,procps,python3-dev,python3-venv \
            "$debian" "$made" ${mirror:+"$mirror"}
        # Servers are started by tests alone.
        printf '#!/bin/sh\nexit 101\n' > "$made/usr/sbin/policy-rc.d"
        chmod +x "$made/usr/sbin/policy-rc.d"
        mv "$made" ".matrix/$debian"
    fi
    cp /etc/resolv.conf ".matrix/$debian/etc/resolv.conf"
    # Certificates of a proxy, at the path that the environment names.
    if [ -n "${SSL_CERT_FILE:-}" ]; then
        install -D "$SSL_CERT_FILE" ".matrix/$debian/$SSL_CERT_FILE"
    fi
}

# What is mounted is seen by the command alone, and all that it started ends with it.
in_debian() {
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1
        shift
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        mount -t proc proc "$root/proc"
        exec chroot "$root" "$@"' - ".matrix/$debian" "$@"
}

test_version() {
    # Without kept bytecode, each process that imports TensorFlow compiles it anew.
    local run=(env --unset PYTHONDONTWRITEBYTECODE "UV_PYTHON=$1" PENSTOCK_REQUIRE_SERVICES=1)
    if is_new_enough; then
        copy_sources ".matrix/$1"
        "${run[@]}" make -C ".matrix/$1" services test "TESTS=${TESTS:-}"
    else
        make_debian
        copy_sources ".matrix/$debian/penstock-$1"
        in_debian "${run[@]}" make -C "/penstock-$1" services test "TESTS=${TESTS:-}"
    fi
}

failed=()
for version; do
    echo "== Python $version"
    # Not with ||, which would let a version go on after its first error.
    set +e
    (set -e; test_version "$version")
    [ $? = 0 ] || failed+=("$version")
    set -e
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed with Python: ${failed[*]}" >&2
    exit 1
fi
