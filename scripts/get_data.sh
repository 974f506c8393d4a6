#!/bin/sh
# Ensures that the files of Fashion-MNIST are available before training, within seconds.
#
#   scripts/get_data.sh [--dry-run] DATASET [FLAG OF train.main ...]
#
# With a network, TFDS downloads Fashion-MNIST itself. Without one, this installs Debian's package
# dataset-fashion-mnist (the same files) if it has the rights. Nothing is done for other data sets,
# or if a flag names a copy of the files. --dry-run prints what would be installed.
#
# For tests: FASHION_MNIST_DIR and TFDS_DATA_DIR are the folders of copies, DOWNLOAD_URL the host.
set -eu

package=dataset-fashion-mnist
system_copy=${FASHION_MNIST_DIR:-/usr/share/datasets/fashion-mnist}
tfds_copy=${TFDS_DATA_DIR:-$HOME/tensorflow_datasets}/fashion_mnist
url=${DOWNLOAD_URL:-http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz}

dry_run=
if [ "${1:-}" = --dry-run ]; then
    dry_run=yes
    shift
fi
[ "${1:-fashion_mnist}" = fashion_mnist ] || exit 0
for flag in "$@"; do
    case $flag in
        --manual_dir* | -manual_dir* | --data_dir* | -data_dir*) exit 0 ;;
    esac
done

say() { echo "get_data: $*" >&2; }

has_files() {
    for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
        [ -r "$1/$name-ubyte.gz" ] || [ -r "$1/$name-ubyte" ] || return 1
    done
}

can_download() {
    # timeout bounds the name look-up, which the client's own limit does not cover.
    if command -v curl >/dev/null; then
        timeout 8 curl --silent --fail --head --location --max-time 6 "$url" >/dev/null 2>&1
    elif command -v wget >/dev/null; then
        timeout 8 wget --quiet --spider --tries=1 --timeout=6 "$url" >/dev/null 2>&1
    else
        timeout 8 python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=6)' \
            "$url" >/dev/null 2>&1
    fi
}

explain() {
    say "Fashion-MNIST cannot be downloaded, is not installed, and $1."
    say "One of these helps:"
    say "  a network, so that TFDS can download it;"
    say "  on Debian or Ubuntu: sudo apt-get update && sudo apt-get install $package;"
    say "  your own copy of its four files: make train ARGS=--manual_dir=FOLDER"
    exit 1
}

if has_files "$system_copy" || [ -d "$tfds_copy" ] || can_download; then
    exit 0
fi

command -v apt-get >/dev/null || explain "this machine has no apt-get to install $package with"
if [ "$(id -u)" = 0 ]; then
    as_root=env
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    explain "installing $package takes root"
fi

# Without a network apt must give up in seconds too.
apt() {
    $as_root timeout 300 apt-get -q -o Acquire::Retries=0 -o Acquire::http::Timeout=10 \
        -o Acquire::https::Timeout=10 "$@" >&2
}

say "no network to TFDS's sources: installing Debian's package $package into $system_copy"
if [ -n "$dry_run" ]; then
    say "dry run: $as_root apt-get install -y --no-install-recommends $package"
    exit 0
fi
apt install -y --no-install-recommends "$package" ||
    { apt update && apt install -y --no-install-recommends "$package"; } ||
    explain "apt-get could not install $package"
has_files "$system_copy" || explain "$package put no such files into $system_copy"
say "installed $package"
