#!/usr/bin/env bash
# Builds the images of std-daq, std-daq/TARGET:TAG; docker/image-tag prints the tag.
#
#   docker/build.sh [--offline|--online] [--cpu LEVEL] [--gpu-base IMAGE] [TARGET...]
#
# --offline   from Debian packages alone; by default from a registry's Python where there is one in reach
# --online    fail where no registry is in reach
# --cpu       compile for x86-64-v2, -v3 (the default: AVX2, servers since 2015), -v4 (AVX-512), or host: for this machine
# --gpu-base  what sim-worker-gpu begins with: an image of CUDA with Python 3.11; by default what all others begin with
# TARGET      tools, rabbitmq, or a service, as udp-recv; by default all of these, those that a site adds among them;
#             or sim-worker-gpu, a worker of the photon simulation that also runs on NVIDIA GPUs
#
# What a site adds, such as a detector or a service, lies in docker/plug-ins: wheels, and folders whose wheels are built.
# Python packages come from the index that pip is configured for, once; what has been made is kept in docker/.build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=3.11
TAG=$(docker/image-tag)
RABBITMQ=rabbitmq:3-management
PULL_TIMEOUT_S=600
BASE=std-daq/service-base:$TAG
BUILD=docker/.build

say() { printf '%s\n' "$*" >&2; }
usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
service_targets() { "$BUILD/tools/bin/python" docker/service-targets "$@" "$BUILD/wheels/packages"; }
targets() { echo tools; service_targets --names; service_targets --names --view3d; }

mode='' cpu='' gpu_base=$BASE wanted=()
while [ $# -gt 0 ]; do
    case $1 in
        --offline | --online) mode=${1#--} ;;
        --cpu) cpu=${2:?a level}; shift ;;
        --gpu-base) gpu_base=${2:?an image}; shift ;;
        -*) usage ;;
        *) wanted+=("$1") ;;
    esac
    shift
done
if [ -z "$cpu" ]; then
    case $(uname -m) in x86_64) cpu=x86-64-v3 ;; *) cpu=host ;; esac
fi

digest_of() { find -L "$@" -type f ! -name '*.py[co]' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1; }
is_made() { [ "$(cat "$1/.made-from" 2>/dev/null)" = "$2" ]; }

in_tools() { "$BUILD/tools/bin/python" -m "$@"; }

download() { # FOLDER REQUIREMENTS : the wheels for the Python of the images, whatever this machine's is
    local folder=$1 wanted platforms=() minor
    wanted=$(sha256sum "$2"; uname -m)
    ! is_made "$folder" "$wanted" || return 0
    say "downloading the wheels of $2 (once) ..."
    for minor in $(seq 36 -1 5); do platforms+=(--platform "manylinux_2_${minor}_$(uname -m)"); done
    rm -rf "$folder"
    in_tools pip download --quiet --disable-pip-version-check --dest "$folder" --require-hashes --no-deps \
        --only-binary :all: --implementation cp --python-version "$PYTHON" "${platforms[@]}" -r "$2"
    printf '%s' "$wanted" >"$folder/.made-from"
}

make_tools() { # : a small environment that builds wheels, from the wheels that it needs for that
    local python=${PYTHON_COMMAND:-python3} wanted
    wanted=$(sha256sum docker/requirements-build.txt; "$python" --version; pwd)
    if is_made "$BUILD/tools" "$wanted"; then
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || scripts/install-package python3-venv "virtual environments"
    rm -rf "$BUILD/tools"
    "$python" -m venv "$BUILD/tools"
    download "$BUILD/wheels/pip" docker/requirements-build.txt
    in_tools pip install --quiet --no-index --no-deps "$BUILD"/wheels/pip/*.whl
    printf '%s' "$wanted" >"$BUILD/tools/.made-from"
}

build_wheels() { # FOLDER : of std-daq and of what a site adds
    local folder=$1 wanted plug_in
    wanted=$TAG$(digest_of pyproject.toml hatch_build.py README.md LICENSE std_daq services docker/plug-ins docker/requirements-build.txt)
    ! is_made "$folder" "$wanted" || return 0
    say "building the wheel of std-daq ..."
    rm -rf "$folder"
    in_tools pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir "$folder" .
    for plug_in in docker/plug-ins/*.whl docker/plug-ins/*/; do
        [ -e "$plug_in" ] || continue
        say "adding $plug_in ..."
        in_tools pip wheel --quiet --no-deps --find-links "$BUILD/wheels/pip" --wheel-dir "$folder" "$plug_in"
    done
    printf '%s' "$wanted" >"$folder/.made-from"
}

build_image() { # TARGET BASE SOURCES OPTION... CONTEXT : SOURCES is a digest of what is in the context
    local target=$1 base=$2 sources=$3 image=std-daq/$1:$TAG log=$BUILD/$1.log options made_from wanted
    shift 3
    options=(--build-arg BASE="$base" --label org.opencontainers.image.title="std-daq $target"
        --label org.opencontainers.image.version="$TAG" "$@")
    wanted=$(docker image inspect --format '{{.Id}}' "$base"; printf '%s\n' "$sources" "${options[@]}")
    wanted=$(sha256sum <<<"$wanted" | cut -d' ' -f1)
    made_from=$(docker image inspect --format '{{index .Config.Labels "org.std-daq.made-from"}}' "$image" 2>/dev/null) || true
    [ "$made_from" != "$wanted" ] || return 0
    say "building $image ..."
    docker build --quiet --tag "$image" --label org.std-daq.made-from="$wanted" "${options[@]}" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; say "$image was not built."; exit 1; }
}

build_rabbitmq() { # the registry is asked once: a broker that runs is not to become another one by the way
    local image=std-daq/rabbitmq:$TAG made_from=none
    if [ "$mode" != offline ]; then
        made_from=$(docker image inspect --format '{{index .Config.Labels "org.std-daq.made-from"}}' "$image" 2>/dev/null) || made_from=none
        [ -n "$made_from" ] || return 0 # it is the registry's
    fi
    if [ "$mode" = online ] || [ "$mode$made_from" = none ]; then
        say "asking a registry for $RABBITMQ ..."
        if timeout "$PULL_TIMEOUT_S" docker pull --quiet "$RABBITMQ" >/dev/null 2>&1; then
            docker tag "$RABBITMQ" "$image"
            return
        fi
        [ "$mode" != online ] || { say "$RABBITMQ cannot be had."; exit 1; }
    fi
    # The packages come over this machine's network, as those of the base did.
    build_image rabbitmq "$BASE" "$(digest_of docker/rabbitmq)" --network host --build-arg http_proxy docker/rabbitmq
}

build_with_view3d() { # TARGET : with Rerun in a layer of its own, above those that all services share
    local wheels=$BUILD/wheels-view3d sources
    mkdir -p "$wheels"
    download "$wheels/view3d" docker/requirements-view3d.txt
    link_wheels "$wheels" pip dependencies packages
    sources=$(cat "$BUILD/Dockerfile" "$wheels"/*/.made-from | sha256sum)
    build_image "$1" "$BASE" "$sources" --target "$1" --build-arg CPU="$cpu" --file "$BUILD/Dockerfile" "$wheels"
}

link_wheels() { # FOLDER NAME... : another context with the same wheels
    local folder=$1 name
    shift
    for name in "$@"; do
        rm -rf "${folder:?}/$name"
        cp -rl "$BUILD/wheels/$name" "$folder"
    done
}

build_gpu_worker() { # on another base, with the libraries of CUDA among the dependencies
    local wheels=$BUILD/wheels-gpu sources
    docker image inspect "$gpu_base" >/dev/null 2>&1 || docker pull --quiet "$gpu_base" >/dev/null ||
        { say "$gpu_base cannot be had."; exit 1; }
    mkdir -p "$wheels"
    download "$wheels/dependencies" docker/requirements-gpu.txt
    link_wheels "$wheels" pip packages
    sources=$(cat "$BUILD/Dockerfile" "$wheels"/*/.made-from | sha256sum)
    build_image sim-worker-gpu "$gpu_base" "$sources" --target sim-worker --build-arg CPU="$cpu" \
        --file "$BUILD/Dockerfile" "$wheels"
}

umask 022
mkdir -p "$BUILD/wheels" && [ -w "$BUILD" ] && [ -w "$BUILD/wheels" ] ||
    { say "$PWD/$BUILD belongs to another user: build as that one, or remove it."; exit 1; }
exec 9>"$BUILD/lock"
flock --nonblock 9 || { say "waiting for another docker/build.sh ..."; flock 9; }
scripts/engine start 9>&-
docker/build_std-daq-service-base.sh ${mode:+"--$mode"}
make_tools
download "$BUILD/wheels/dependencies" docker/requirements.txt
build_wheels "$BUILD/wheels/packages"
{ cat docker/Dockerfile; service_targets; cat docker/Dockerfile.view3d; service_targets --view3d; } >"$BUILD/Dockerfile"
mapfile -t with_view3d < <(service_targets --names --view3d)
[ ${#wanted[@]} -gt 0 ] || mapfile -t wanted < <(targets; echo rabbitmq)
sources=$(cat "$BUILD/Dockerfile" "$BUILD"/wheels/*/.made-from | sha256sum)
for target in "${wanted[@]}"; do
    case $target in
        rabbitmq) build_rabbitmq ;;
        sim-worker-gpu) build_gpu_worker ;;
        *)
            if [[ " ${with_view3d[*]} " == *" $target "* ]]; then
                build_with_view3d "$target"
            else
                build_image "$target" "$BASE" "$sources" --target "$target" --build-arg CPU="$cpu" --file "$BUILD/Dockerfile" "$BUILD/wheels"
            fi
            ;;
    esac
done
say "std-daq's images with the tag $TAG are there: ${wanted[*]}"
