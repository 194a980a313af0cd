#!/usr/bin/env bash
# Makes sure that what building and running ackmark needs is there: a C toolchain, OpenSSL and zlib headers
# (librdkafka is built from source), Java 17 or later and Maven (a local Kafka), Rust; by `setup.sh lint` also rustfmt
# and clippy, by `setup.sh test` also PostgreSQL's server (tests start one of their own).
#
# As root on a Debian-like system it installs what is missing; elsewhere it prints the command and stops with 1.
# Silent and quick when nothing is missing. Kafka's jars come afterwards, by `ackmark cluster prepare` (see Makefile).
set -euo pipefail
cd "$(dirname "$0")"

JAVA_MIN=17
RUST_MIN=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
FOR=${1:-}
readonly JAVA_MIN RUST_MIN FOR

say() { echo "setup: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

java_version() { # major version of the java in JAVA_HOME or PATH; 0 when there is none
    local java=java
    if [[ -n ${JAVA_HOME:-} && -x $JAVA_HOME/bin/java ]]; then java=$JAVA_HOME/bin/java; fi
    has "$java" || { echo 0; return; }
    local major
    major=$("$java" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)
    echo "${major:-0}"
}

header() { # whether the C compiler finds a header
    has cc && echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1
}

has_postgresql() { # Debian keeps its programs out of the PATH
    has initdb || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null
}

missing() { # what is missing, in words that name no distribution's package
    has cc || echo cc
    has c++ || echo c++
    has make || echo make
    has pkg-config || echo pkg-config
    header openssl/ssl.h || echo openssl
    header zlib.h || echo zlib
    (($(java_version) >= JAVA_MIN)) || echo java
    has mvn || echo maven
    if [[ $FOR == test ]]; then has_postgresql || echo postgresql; fi
}

package() { # the package of a family of systems for a missing thing
    case $1:$2 in
    apt:cc) echo gcc libc6-dev ;; apt:c++) echo g++ ;; apt:openssl) echo libssl-dev ;; apt:zlib) echo zlib1g-dev ;;
    apt:java) echo default-jre-headless ;; dnf:postgresql) echo postgresql-server ;;
    dnf:cc) echo gcc ;; dnf:c++) echo gcc-c++ ;; dnf:openssl) echo openssl-devel ;; dnf:zlib) echo zlib-devel ;;
    dnf:java) echo java-latest-openjdk-headless ;;
    pacman:cc | pacman:c++) echo gcc ;; pacman:pkg-config) echo pkgconf ;; pacman:java) echo jre-openjdk-headless ;;
    apk:cc) echo gcc musl-dev ;; apk:c++) echo g++ ;; apk:openssl) echo openssl-dev ;; apk:zlib) echo zlib-dev ;;
    apk:pkg-config) echo pkgconf ;; apk:java) echo openjdk21-jre-headless ;;
    *) echo "$2" ;;
    esac
}

packages() { local family=$1 what; shift; for what in "$@"; do package "$family" "$what"; done | tr ' ' '\n' | sort -u | tr '\n' ' '; }

install_missing() {
    local -a lacking
    mapfile -t lacking < <(missing)
    ((${#lacking[@]})) || return 0
    say "missing: ${lacking[*]}"
    if has apt-get; then
        local wanted
        wanted=$(packages apt "${lacking[@]}")
        if ((EUID != 0)); then
            say "run:  sudo apt-get update && sudo apt-get install -y --no-install-recommends $wanted"
            exit 1
        fi
        say "installing: $wanted"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq >&2
        # shellcheck disable=SC2086 # a list of words
        apt-get install -y -qq --no-install-recommends $wanted >&2
    elif has dnf; then
        say "run:  sudo dnf install -y $(packages dnf "${lacking[@]}")" && exit 1
    elif has pacman; then
        say "run:  sudo pacman -S --needed $(packages pacman "${lacking[@]}")" && exit 1
    elif has apk; then
        say "run:  sudo apk add $(packages apk "${lacking[@]}")" && exit 1
    else
        say "install them by your system's package manager (Java: version $JAVA_MIN or later), then run this again" && exit 1
    fi
    mapfile -t lacking < <(missing)
    if ((${#lacking[@]})); then
        say "still missing after the installation: ${lacking[*]} (Java must be version $JAVA_MIN or later; see JAVA_HOME)"
        exit 1
    fi
}

check_rust() { # both: a cargo of one installation may find the rustc of another
    local tool version
    for tool in cargo rustc; do
        if ! has "$tool"; then
            say "Rust is missing ($tool): get it from https://rustup.rs (or your system, version $RUST_MIN or later), then run this again"
            exit 1
        fi
        version=$("$tool" --version | cut -d ' ' -f 2)
        if [[ $(printf '%s\n' "$RUST_MIN" "$version" | sort -V | head -n 1) != "$RUST_MIN" ]]; then
            say "$tool $version is too old, $RUST_MIN or later is needed; run:  rustup update stable"
            exit 1
        fi
    done
}

check_lints() {
    local -a lacking=()
    cargo fmt --version >/dev/null 2>&1 || lacking+=(rustfmt)
    cargo clippy --version >/dev/null 2>&1 || lacking+=(clippy)
    if ((${#lacking[@]})); then
        say "missing: ${lacking[*]}; run:  rustup component add ${lacking[*]}  (without rustup: your system's packages of them)"
        exit 1
    fi
}

if [[ $(uname -s) != Linux ]]; then
    say "ackmark runs on Linux only"
    exit 1
fi
install_missing
check_rust
if [[ $FOR == lint ]]; then check_lints; fi
