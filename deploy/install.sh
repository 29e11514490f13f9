#!/bin/sh
# Makes a working Nodeferry of a checkout, for images and for services of systemd:
#
#   deploy/install.sh TARGET [--with EXTRA]...
#
# TARGET is a folder that is not there yet (or is empty); afterwards TARGET/bin/nodeferry is the command line, and
# TARGET/bin/nodeferry-health says by its exit status whether a service on this machine answers. EXTRA: postgresql,
# notify, templates (requirements-EXTRA.txt). PYTHON names the interpreter (3.11 or newer, with venv).
#
# It needs no root and writes into TARGET alone. Packages come from whatever pip is configured for, each with its hash.
# What is there then is only read: it may lie on a read-only file system, and belong to somebody else.
set -eu

say() { printf '%s\n' "$*" >&2; }

source=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || { say "Usage: deploy/install.sh TARGET [--with postgresql|notify|templates]..."; exit 2; }
target=$1
shift
extras=
while [ $# -gt 0 ]; do
    case "$1 ${2:-}" in
    "--with postgresql" | "--with notify" | "--with templates") extras="$extras $2" ;;
    *) say "Not understood: $1 ${2:-}"; exit 2 ;;
    esac
    shift 2
done
if [ -n "$(ls -A "$target" 2>/dev/null)" ]; then
    say "$target is not empty. Install beside it, then change the link that leads to it (docs/deploy.md)."
    exit 1
fi

mkdir -p "$target"
target=$(cd "$target" && pwd)
# pip keeps what it fetches in HOME, which need not be there; and somebody else's Python must not leak into ours.
unset PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
export PIP_USER=0 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

"${PYTHON:-python3}" -m venv "$target"
set -- -r "$source/requirements.txt"
for extra in $extras; do set -- "$@" -r "$source/requirements-$extra.txt"; done
"$target/bin/python" -m pip install --quiet --require-hashes "$@"
packages=$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -R "$source/app" "$packages/app"
find "$packages/app" -name __pycache__ -type d -prune -exec rm -rf {} +

# -P: whoever starts it in a folder of others runs no module of theirs.
printf '#!/bin/sh\nexec "%s/bin/python" -P -m app.cli "$@"\n' "$target" >"$target/bin/nodeferry"
printf '#!/bin/sh\nexec "%s/bin/python" -I "%s/bin/nodeferry-health.py" "$@"\n' "$target" "$target" >"$target/bin/nodeferry-health"
cp "$source/deploy/health.py" "$target/bin/nodeferry-health.py"
chmod 755 "$target/bin/nodeferry" "$target/bin/nodeferry-health"

# Nothing is installed into it later: pip goes. Compiled now, since nothing can be written there when it runs.
"$target/bin/python" -m pip uninstall --quiet --yes setuptools pip
"$target/bin/python" -m compileall -q -j 2 "$packages" || true # some packages bring files for other Pythons
chmod -R a+rX,go-w "$target"
(cd / && "$target/bin/nodeferry" --version)
