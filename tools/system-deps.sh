#!/bin/sh
# What Nodeferry's demo and tests need from the system: an OpenSSH server and client, git, curl, certificates,
# Chromium for the pages' tests, PostgreSQL's programs and a Python >= 3.11 that can make virtual environments.
#
#   tools/system-deps.sh            installs what is missing (Debian/Ubuntu as root); for anyone else it changes nothing,
#                                   says what is missing and exits 1. Exit 0: everything is here.
#   tools/system-deps.sh --demo     the same without Chromium and PostgreSQL, which only tests and the cluster need
#   tools/system-deps.sh --tests    also what some tests play with, where it can be had: login shells, Dropbear, nginx,
#                                   Prometheus, PgBouncer
#   tools/system-deps.sh --check    changes nothing, whoever asks
#   tools/system-deps.sh --python   prints the Python to make the virtual environment with
#
# The tests run sshd, nginx, PostgreSQL, PgBouncer and Prometheus themselves, on high ports: the system's own are not
# wanted. What this script installs of them is therefore neither started nor enabled, and no PostgreSQL cluster is made;
# what was there before is left alone.
set -eu

PYTHON_WANTED="Python >= 3.11 with venv"
PYTHON_PROBE='import sys, ensurepip, sqlite3, ssl, venv; sys.exit(sys.version_info < (3, 11))'
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="Nodeferry's system-deps.sh"
POLICY_KEPT=$POLICY.kept-by-nodeferry
POSTGRESQL=/usr/lib/postgresql
NO_CLUSTER_FOLDER=/etc/postgresql-common/createcluster.d
NO_CLUSTER=$NO_CLUSTER_FOLDER/nodeferry-system-deps.conf

# --- what is here ---------------------------------------------------------------------------------------------------

# An ordinary user's PATH leaves out the folders where sshd lies.
has() { PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

has_certificates() {
    for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        if [ -n "$bundle" ] && [ -s "$bundle" ]; then return 0; fi
    done
    return 1
}

# Each one is run, not only looked up: a pyenv shim exists for versions that are not active, and Debian's python3 lacks
# ensurepip until python3-venv is there.
find_python() {
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if has "$python" && "$python" -c "$PYTHON_PROBE" </dev/null >/dev/null 2>&1; then
            "$python" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

# A virtual environment that was made already answers for its Python; this keeps the usual `make` under 0.2 s.
has_python() { [ -x .venv/bin/python ] || find_python >/dev/null; }

has_chromium() { has chromium || has chromium-browser || has google-chrome; }

# Debian keeps the server's programs off the PATH, in a folder for each version.
has_postgresql() {
    if has initdb; then return 0; fi
    for program in "$POSTGRESQL"/*/bin/initdb; do
        if [ -x "$program" ]; then return 0; fi
    done
    return 1
}

missing_packages() {
    has sshd || echo openssh-server
    has ssh && has ssh-keygen || echo openssh-client
    has git || echo git
    has curl || echo curl
    has_certificates || echo ca-certificates
    [ "$mode" = --demo ] || has_chromium || echo chromium
    [ "$mode" = --demo ] || has_postgresql || echo postgresql
    has_python || echo python3-venv
}

# What some tests play with, and skip in words where it cannot be had: login shells, another SSH server, a proxy, and
# what reads the metrics.
optional_packages() {
    for package in tcsh fish zsh nginx prometheus pgbouncer; do has "$package" || echo "$package"; done
    has dropbear || echo dropbear-bin
}

# --- installing on Debian and Ubuntu --------------------------------------------------------------------------------

apt() {
    # NEEDRESTART_SUSPEND: Ubuntu's needrestart would restart services that are none of our business.
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -y -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

lists_are_empty() { [ -z "$(find /var/lib/apt/lists -name '*Packages*' -print 2>/dev/null | head -n 1)" ]; }

has_candidate() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [0-9]'; }

# python3-venv where the system's python3 is new enough, otherwise a newer one beside it (Ubuntu 22.04 has python3.11).
python_packages() {
    case $(apt-cache policy python3 | sed -n 's/.*Candidate: \([0-9]*\.[0-9]*\).*/\1/p') in
    3.[0-9] | 3.10 | '')
        for version in 3.13 3.12 3.11; do
            if has_candidate "python$version-venv"; then echo "python$version python$version-venv"; return; fi
        done
        echo "python3-venv" ;;
    *) echo "python3 python3-venv" ;;
    esac
}

is_served() { case $1 in *openssh-server* | *nginx* | *prometheus* | *pgbouncer* | *postgresql*) return 0 ;; esac; return 1; }

# While our packages are set up, nothing may start $1 (sshd, nginx, …); what other packages ask for is answered as before.
hold_back() {
    new="${new:-} $1"
    trap 'disable_new; remove_policy; allow_clusters' EXIT
    trap 'exit 130' INT TERM HUP
    if grep -qs "$POLICY_MARK" "$POLICY"; then remove_policy; fi # left by a run that was killed
    if [ -e "$POLICY" ]; then mv "$POLICY" "$POLICY_KEPT"; fi
    cat >"$POLICY" <<POLICY_TEXT
#!/bin/sh
# $POLICY_MARK is installing $new; this file goes away with it.
case " $new \$1" in
*openssh-server*\ ssh | *openssh-server*\ ssh.* | *openssh-server*\ sshd | *openssh-server*\ sshd.*) exit 101 ;;
*nginx*\ nginx | *nginx*\ nginx.*) exit 101 ;;
*prometheus*\ prometheus | *prometheus*\ prometheus.*) exit 101 ;;
*pgbouncer*\ pgbouncer | *pgbouncer*\ pgbouncer.*) exit 101 ;;
*postgresql*\ postgresql | *postgresql*\ postgresql[.@]*) exit 101 ;;
esac
if [ -x $POLICY_KEPT ]; then exec $POLICY_KEPT "\$@"; fi
exit 0
POLICY_TEXT
    chmod 755 "$POLICY"
    case $new in *postgresql*) refuse_clusters ;; esac
}

# Its package would make a cluster `main` and start it with the machine.
refuse_clusters() {
    mkdir -p "$NO_CLUSTER_FOLDER"
    printf '# %s is installing PostgreSQL; this file goes away with it.\ncreate_main_cluster = false\n' "$POLICY_MARK" >"$NO_CLUSTER"
}

allow_clusters() { rm -f "$NO_CLUSTER"; }

remove_policy() {
    rm -f "$POLICY"
    if [ -e "$POLICY_KEPT" ]; then mv "$POLICY_KEPT" "$POLICY"; fi
}

disable_new() {
    case $new in *nginx*) disable_service nginx ;; esac
    case $new in *prometheus*) disable_service prometheus ;; esac
    case $new in *pgbouncer*) disable_service pgbouncer ;; esac
    # It starts the clusters of this machine: whose machine has some keeps it.
    case $new in *postgresql*) if [ -z "$(ls -A /etc/postgresql/* 2>/dev/null)" ]; then disable_service postgresql; fi ;; esac
    case $new in *openssh-server*) disable_new_sshd ;; esac
}

disable_service() {
    if has systemctl; then systemctl --quiet disable "$1.service" >/dev/null 2>&1 || true; fi
    for link in /etc/systemd/system/*.wants/"$1.service"; do
        if [ -L "$link" ]; then rm -f "$link"; fi
    done
    if has update-rc.d && [ -e "/etc/init.d/$1" ]; then update-rc.d "$1" disable >/dev/null 2>&1 || true; fi
}

disable_new_sshd() {
    if has systemctl; then systemctl --quiet disable ssh.service ssh.socket >/dev/null 2>&1 || true; fi
    # `disable` is all or nothing: where a unit is unknown (no ssh.socket) it may have stopped before the other.
    for link in /etc/systemd/system/sshd.service /etc/systemd/system/*.wants/ssh.service \
        /etc/systemd/system/*.wants/ssh.socket /etc/systemd/system/ssh.service.requires/ssh.socket; do
        if [ -L "$link" ]; then rm -f "$link"; fi
    done
    if has update-rc.d && [ -e /etc/init.d/ssh ]; then update-rc.d ssh disable >/dev/null 2>&1 || true; fi
}

install_packages() {
    if lists_are_empty; then apt update; fi
    packages=
    for package in $1; do
        if [ "$package" = python3-venv ]; then package=$(python_packages); fi
        packages="$packages $package"
    done
    if is_served "$packages"; then hold_back "$packages"; fi
    # Old lists name packages that the mirror has no more: fresh ones are fetched only then, they cost many seconds.
    # shellcheck disable=SC2086  # a list of words
    apt install --no-install-recommends $packages || { apt update && apt install --no-install-recommends $packages; }
}

# --- what to do -----------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }

explain() {
    say "Nodeferry's demo and tests need from the system:" $1
    case " $1 " in *python3-venv*) say "  (python3-venv stands for: $PYTHON_WANTED; PYTHON=/path/to/python names one)" ;; esac
    if [ "$mode" = --demo ]; then how="make demo-deps"; else how="make system-deps"; fi
    if has apt-get; then say "Install them with:  sudo $how"
    else say "Install them with this system's package manager (the names above are Debian's)."; fi
}

# Nothing fails for want of these, and nobody but root gets them.
install_optional() {
    if [ "${1:-}" != --tests ] || [ "$(id -u)" != 0 ] || ! has apt-get || ! has apt-cache; then return; fi
    wanted=
    for package in $(optional_packages); do
        if has_candidate "$package"; then wanted="$wanted $package"; fi
    done
    if [ -n "$wanted" ]; then
        if is_served "$wanted"; then hold_back "$wanted"; fi
        # shellcheck disable=SC2086  # a list of words
        apt install --no-install-recommends $wanted >/dev/null 2>&1 || say "Not installed (some tests are skipped):$wanted"
    fi
}

mode=${1:-}

main() {
    if [ "${1:-}" = --python ]; then
        find_python || { say "There is no $PYTHON_WANTED here (looked for: ${PYTHON:-python3 python3.13 python3.12 python3.11})."; exit 1; }
        return
    fi
    missing=$(missing_packages | tr '\n' ' ')
    missing=${missing% }
    if [ -z "$missing" ]; then install_optional "${1:-}"; return; fi
    if [ "${1:-}" = --check ] || [ "$(id -u)" != 0 ] || ! has apt-get; then explain "$missing"; exit 1; fi
    say "Installing from the system's packages: $missing"
    install_packages "$missing"
    missing=$(missing_packages | tr '\n' ' ')
    if [ -n "$missing" ]; then say "Still missing after the installation:"; explain "${missing% }"; exit 1; fi
    install_optional "${1:-}"
}

cd "$(dirname "$0")/.."
main "$@"
