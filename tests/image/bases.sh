#!/usr/bin/env bash
# The Dockerfile's base images for a machine with an engine and no registry: Debian packages, as this host's apt
# finds them, and this host's Rust toolchain. Root is needed (debootstrap). A tag that exists is kept; remove it
# (`docker rmi`) to have it made again.
#
#   fdk-base/rust:X.Y              the builder: gcc, pip, cargo, and this host's cargo, pip and proxy settings
#   fdk-base/debian:CODENAME-slim  a runtime with a shell
#   fdk-base/cc:CODENAME           a runtime like distroless/cc: libc, libm, libgcc_s, and no shell
#
# Local use only: the packages are the release's, without later security updates, and the builder knows this host's
# settings. Builds with it use the host's network, as these settings do. Progress goes to stderr; stdout has the
# arguments for a build, so that
#   docker build $(tests/image/bases.sh) --build-arg FUNCTION=hello -t hello .
set -Eeuo pipefail
umask 022
trap 'say "error: \`$BASH_COMMAND\` failed at line $LINENO"' ERR

engine=${ENGINE:-docker}
say() { echo "bases: $*" >&2; }
die() { say "error: $*"; exit 1; }
have() { "$engine" image inspect "$1" >/dev/null 2>&1; }

command -v "$engine" >/dev/null || die "no '$engine' command; install a container engine or set ENGINE"
"$engine" version >/dev/null 2>&1 || die "'$engine version' fails; is the engine running, and may this user use it?"
command -v rustc >/dev/null || die "no 'rustc' command; install a Rust toolchain"
[ -r /etc/os-release ] && codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "${codename:-}" ] || die "/etc/os-release names no release; a Debian or a derivative is needed"
version=$(rustc --version | cut -d' ' -f2 | cut -d. -f1,2)

rust=fdk-base/rust:$version
debian=fdk-base/debian:$codename-slim
cc=fdk-base/cc:$codename

# What the builder has beyond a minimal system: a linker and C headers, roots for TLS, pip for model assets.
builder_packages=gcc,libc6-dev,ca-certificates,python3,python3-pip

prepare() {
    [ "$(id -u)" = 0 ] || die "debootstrap needs root"
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    mkdir "$work/debs"
    command -v apt-get >/dev/null || die "apt-get is not here; this script uses the host's apt sources"
    if ! command -v debootstrap >/dev/null; then
        say "installing debootstrap"
        { apt-get update && apt-get install -o DPkg::Lock::Timeout=300 -y --no-install-recommends debootstrap; } >"$work/log" 2>&1 ||
            { tail -n 20 "$work/log" >&2; die "apt-get could not install debootstrap"; }
    fi
    # The mirror and the proxy that apt uses, whatever the format of its sources.
    local site component _
    read -r mirror _ < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v c="$codename" '$2 == c && $3 == "main"') || die "apt knows no '$codename main'; try apt-get update"
    components=main
    while read -r site component; do
        [ "$site" = "$mirror" ] && components=$components,$component
    done < <(apt-get indextargets --format '$(REPO_URI) $(COMPONENT) $(CODENAME)' 'Created-By: Packages' |
        awk -v c="$codename" '$3 == c && $2 != "main" { print $1, $2 }')
    local proxy=
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    [ -z "$proxy" ] || [ "$proxy" = DIRECT ] || export http_proxy=$proxy
    proxy=
    eval "$(apt-config shell proxy Acquire::https::Proxy)"
    [ -z "$proxy" ] || [ "$proxy" = DIRECT ] || export https_proxy=$proxy
}

# bootstrap DIR [PACKAGES]: a minimal system, without what nobody reads in a container.
bootstrap() {
    debootstrap --variant=minbase --components="$components" --cache-dir="$work/debs" ${2:+--include="$2"} \
        "$codename" "$1" "$mirror" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; die "debootstrap failed; its last lines are above"; }
    rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/usr/share/{doc,info,locale,man}/* \
        "$1"/etc/{machine-id,hostname,resolv.conf}
}

# import DIR TAG [CHANGE...]
import() {
    local dir=$1 tag=$2 changes=() change
    shift 2
    for change; do changes+=(--change "$change"); done
    # Nothing under /proc, /sys or /dev: the engine mounts its own.
    tar -C "$dir" --numeric-owner --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -c . |
        "$engine" import "${changes[@]}" - "$tag" >/dev/null || die "'$engine import' could not make $tag"
    say "$tag is ready ($("$engine" image inspect --format '{{.Size}}' "$tag" | numfmt --to=si)B)"
}

# The libraries a function links, taken file by file; usr-merged paths, as the files really lie.
make_cc() {
    say "making $cc"
    mkdir "$work/cc"
    chroot "$1" dpkg -L base-files libc6 libgcc-s1 |
        sed -E 's#^/(bin|sbin|lib[^/]*)/#/usr/\1/#; s#^/##' | sort -u | grep -Ev '^(|\.|usr/share/doc.*)$' |
        tar -C "$1" --no-recursion --ignore-failed-read -c -T - bin sbin lib lib64 2>/dev/null | tar -C "$work/cc" -x
    import "$work/cc" "$cc" "ENV PATH=/usr/local/bin:/usr/bin:/bin"
}

make_debian() {
    say "making $debian"
    import "$1" "$debian" "CMD [\"bash\"]"
}

make_rust() {
    say "making $rust"
    local root=$1 sysroot name value changes=()
    sysroot=$(rustc --print sysroot)
    [ -x "$sysroot/bin/cargo" ] || die "no cargo in $sysroot; use a toolchain installed by rustup"
    mkdir -p "$root/usr/local/cargo/bin"
    cp "$sysroot"/bin/{cargo,rustc} "$root/usr/local/bin/"
    cp -r "$sysroot/lib" "$root/usr/local/"

    # How this host reaches its registries holds inside a build as well: roots, files, variables. Tokens stay out, but a
    # password written into an address comes along: never push this image.
    cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
    for name in config.toml config; do
        [ ! -f "${CARGO_HOME:-$HOME/.cargo}/$name" ] || cp "${CARGO_HOME:-$HOME/.cargo}/$name" "$root/usr/local/cargo/"
    done
    mkdir -p "$root/etc/xdg/pip"
    [ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    for name in "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        [ ! -f "$name" ] || { cp "$name" "$root/etc/xdg/pip/pip.conf"; break; }
    done
    local ours='https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|CARGO_(HTTP|NET|SOURCE|REGISTR)[A-Z_]*'
    ours="$ours|PIP_(EXTRA_)?INDEX_URL|PIP_TRUSTED_HOST|PIP_DEFAULT_TIMEOUT"
    while IFS='=' read -r name value; do
        case $name in *TOKEN* | *PASSWORD* | *CREDENTIAL*) continue ;; esac
        changes+=("ENV $name=\"$value\"")
    done < <(env | grep -E "^($ours)=" || true)

    import "$root" "$rust" "ENV CARGO_HOME=/usr/local/cargo" \
        "ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "${changes[@]}"
    "$engine" run --rm --network none "$rust" sh -ec 'rustc --version; cargo --version; gcc --version; pip --version' \
        >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        "$engine" rmi "$rust" >/dev/null
        die "the tools in $rust do not run"
    }
}

if have "$rust" && have "$debian" && have "$cc"; then
    say "all there: $rust $debian $cc"
else
    prepare
    if ! have "$debian" || ! have "$cc"; then
        say "a minimal $codename, from the host's apt sources"
        bootstrap "$work/slim"
        have "$cc" || make_cc "$work/slim"
        have "$debian" || make_debian "$work/slim"
    fi
    if ! have "$rust"; then
        say "the same with ${builder_packages//,/, }"
        bootstrap "$work/builder" "$builder_packages"
        make_rust "$work/builder"
    fi
fi
echo "--network host --build-arg BUILDER=$rust --build-arg RUNTIME=$cc"
