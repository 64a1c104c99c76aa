#!/usr/bin/env bash
# Builds std-daq/service-base:TAG, what all images of std-daq begin with: Debian and Python 3.11, nothing else.
#
#   docker/build_std-daq-service-base.sh [--from IMAGE] [--online] [--fresh]
#   docker/build_std-daq-service-base.sh --offline [--mirror URL [--security URL]] [--keyring FILE] [--fresh]
#
# --from IMAGE     of a registry, by default python:3.11-slim-bookworm
# --online         fail where the registry cannot be reached, instead of going on as with --offline
# --offline        from Debian packages alone
# --mirror URL     of Debian, by default the one of this machine's apt; --security its security updates
# --keyring FILE   that the mirror's releases are signed with, by default Debian's own
# --fresh          build also where the image is there, for the security updates of today
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=3.11
SUITE=bookworm # the Debian with this Python
IMAGE=std-daq/service-base:$(docker/image-tag)

say() { printf '%s\n' "$*" >&2; }
usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2; }

from=python:$PYTHON-slim-bookworm mode='' mirror='' security='' keyring='' is_fresh=''
while [ $# -gt 0 ]; do
    case $1 in
        --from) from=${2:?an image}; shift ;;
        --mirror) mirror=${2:?a URL}; shift ;;
        --security) security=${2:?a URL}; shift ;;
        --keyring) keyring=${2:?a file}; shift ;;
        --online | --offline) mode=${1#--} ;;
        --fresh) is_fresh=1 ;;
        *) usage ;;
    esac
    shift
done
[ -z "$mirror$security$keyring" ] || mode=offline

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

find_mirrors() { # fills mirror and security from this machine's own apt, whatever the form of its sources
    local targets
    debian_targets() { apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u; }
    command -v apt-get >/dev/null || { say "this machine has no apt to read a Debian mirror from: give one with --mirror URL."; exit 1; }
    targets=$(debian_targets)
    if [ -z "$targets" ]; then # it knows whose a source is only once it has been there
        as_root apt-get update -qq >/dev/null || true
        targets=$(debian_targets)
    fi
    mirror=$(sed -n '/^Debian /{s///p;q}' <<<"$targets")
    security=$(sed -n '/^Debian-Security /{s///p;q}' <<<"$targets")
    [ -n "$mirror" ] || { say "this machine's apt has no Debian mirror: give one with --mirror URL."; exit 1; }
}

find_keyring() {
    [ -z "$keyring" ] || return 0
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -r "$keyring" ] || scripts/install-package debian-archive-keyring "the signatures of Debian's packages"
}

find_proxy() { # apt's own, for what does not ask apt
    local proxy=''
    eval "$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null || true)"
    [ -z "$proxy" ] || [ -n "${http_proxy:-}" ] || export http_proxy=$proxy
}

write_sources() { # ROOT
    {
        printf 'deb %s %s main\n' "$mirror" "$SUITE"
        [ -z "$security" ] || printf 'deb %s %s-security main\n' "$security" "$SUITE"
    } | as_root tee "$1/etc/apt/sources.list" >/dev/null
    # Neither now nor for what is installed later: documentation (other than licences) and translations.
    as_root tee "$1/etc/dpkg/dpkg.cfg.d/std-daq" >/dev/null <<'END'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
END
}

clean_root() { # ROOT
    as_root rm -rf "$1"/usr/share/{man,info,lintian,locale,bash-completion,gdb} "$1"/usr/share/doc-base \
        "$1"/var/cache/{apt,debconf,ldconfig} "$1"/var/lib/apt/lists "$1"/var/log "$1"/tmp
    as_root find "$1/usr/share/doc" -depth \( -type f -o -type l \) ! -name copyright -delete -o -type d -empty -delete
    as_root find "$1/etc" \( -name '*-' -o -name resolv.conf -o -name hostname -o -name machine-id \) -type f -delete
    as_root mkdir -p "$1"/var/cache/{apt/archives/partial,debconf,ldconfig} "$1"/var/lib/apt/lists/partial "$1"/var/log
    as_root install -d -m 1777 "$1/tmp"
}

build_from_packages() {
    command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ] || scripts/install-package debootstrap "Debian from its packages"
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || { say "only root can make a Debian from packages: sudo $0 --offline"; exit 1; }
    PATH=$PATH:/usr/sbin:/sbin
    [ -n "$mirror" ] || find_mirrors
    [[ $mirror$security != *@* ]] || { say "the mirror's address has a password in it, which would be in the image: give another with --mirror URL."; exit 1; }
    find_keyring
    find_proxy
    say "$IMAGE: Debian $SUITE from $mirror (about a minute) ..."
    local root log
    root=$(mktemp -d "${TMPDIR:-/var/tmp}/std-daq-base.XXXXXX")
    log=$root.log
    # shellcheck disable=SC2064 # the folder of now
    trap "as_root rm -rf --one-file-system '$root' '$log'" EXIT
    run() { "$@" >>"$log" 2>&1 || { tail -n 15 "$log" >&2; say "$IMAGE was not built: $1 ${2:-} failed."; exit 1; }; }
    run as_root env ${http_proxy:+http_proxy="$http_proxy"} debootstrap --variant=minbase --keyring="$keyring" \
        --include=ca-certificates,python3 "$SUITE" "$root" "$mirror"
    write_sources "$root"
    if [ -n "$security" ]; then
        run as_root env ${http_proxy:+http_proxy="$http_proxy"} DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" \
            sh -c 'apt-get update -qq && apt-get upgrade -y -qq'
    fi
    clean_root "$root"
    as_root tar -C "$root" --one-file-system --numeric-owner --sort=name -c . |
        docker import --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' \
            --change "LABEL org.std-daq.base=debian-$SUITE" - "$IMAGE" >/dev/null
}

build_from_registry() {
    local answer
    say "$IMAGE: from $from ..."
    if [ -n "$is_fresh" ] || ! docker image inspect "$from" >/dev/null 2>&1; then
        answer=$(timeout 600 docker pull --quiet "$from" 2>&1) || { say "${answer##*$'\n'}"; return 1; }
    fi
    printf 'FROM %s\nLABEL org.std-daq.base=%s\n' "$from" "$from" | docker build --quiet --tag "$IMAGE" - >/dev/null
}

umask 022 # of what is made here, others are in the image, too
scripts/engine start
if [ -z "$is_fresh" ] && docker image inspect "$IMAGE" >/dev/null 2>&1; then
    exit 0
fi
if [ "$mode" != offline ] && ! build_from_registry; then
    [ "$mode" != online ] || { say "$IMAGE was not built: $from cannot be had."; exit 1; }
    say "no registry with $from in reach: building from Debian packages instead."
    mode=offline
fi
[ "$mode" != offline ] || build_from_packages
python=$(docker run --rm --network none "$IMAGE" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$python" = "$PYTHON" ] || { docker rmi "$IMAGE" >/dev/null; say "the base has Python $python, std-daq's wheels are for $PYTHON."; exit 1; }
