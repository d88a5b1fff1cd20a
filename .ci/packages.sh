# Which distribution packages Ratchet needs, and how to install those that are missing. Sourced by ./quickstart and ./check.
# Works on Debian 12 and 13.

build_packages="build-essential cmake ninja-build ccache mold pkg-config git ca-certificates
  libtorch-dev libsqlitecpp-dev libsqlite3-dev libyaml-cpp-dev libcli11-dev prometheus-cpp-dev libcpp-httplib-dev
  nlohmann-json3-dev libspdlog-dev libfmt-dev libssl-dev libpng-dev libarchive-dev libsimdjson-dev libzstd-dev
  zlib1g-dev libabsl-dev tzdata nodejs python3 dataset-fashion-mnist"
test_packages="libgtest-dev libgmock-dev libbenchmark-dev python3-torch python3-numpy python3-pytest python3-yaml
  python3-jsonschema chromium procps mount libclang-rt-dev"

# Debian 12's default Boost is 1.74, which is too old; the 1.81 beside it is what the house is built with.
boost_package() {
  case "$(apt-cache policy libboost1.81-dev 2>/dev/null)" in
    *"Candidate: "[0-9]*) echo libboost1.81-dev ;;
    *) echo libboost-dev ;;
  esac
}
has_boost() {
  is_installed libboost1.81-dev && return 0
  is_installed libboost-dev && dpkg --compare-versions "$(dpkg-query -W -f '${Version}' libboost-dev)" ge 1.81
}

# No pipe into grep -q: it ends early, the writer dies of SIGPIPE, and under pipefail what is there seems not to be.
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages NAME…: installs what is missing and says so first; uses sudo where not root.
install_packages() {
  command -v apt-get >/dev/null || { echo "This needs Debian's apt-get; see README.md for the list of packages." >&2; return 1; }
  local missing="" name
  for name in "$@"; do is_installed "$name" || missing="$missing $name"; done
  # Node.js from elsewhere brings its own npm, which the distribution's would conflict with.
  command -v npm >/dev/null || missing="$missing npm"
  # Either Boost will do; which one the distribution has is known only after its lists are there.
  local boost=""
  has_boost || boost=yes
  [ -z "$missing$boost" ] && return 0
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq || return 1
  [ -z "$boost" ] || missing="$missing $(boost_package)"
  echo "Installing from the distribution:$missing"
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# scikit-learn and SciPy, by which the gate's figures are tested. Debian 12's SciPy asks for a compiler (pythran) that asks for
# another Boost than the house is built with; it runs without, so there it is unpacked into build/python instead.
reference_python=build/python/usr/lib/python3/dist-packages
install_reference_python() {
  is_installed python3-sklearn && return 0
  [ -d "$reference_python/sklearn" ] && return 0
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq || return 1
  if apt-get install -s -qq --no-install-recommends python3-sklearn >/dev/null 2>&1; then
    install_packages python3-sklearn
    return
  fi
  install_packages python3-numpy python3-joblib python3-threadpoolctl python3-decorator liblbfgsb0 libblas3 liblapack3 \
    libgfortran5 libgomp1 || return 1
  echo "Unpacking from the distribution: python3-scipy python3-sklearn"
  local folder="build/python.new" package
  rm -rf "$folder" build/python && mkdir -p "$folder" || return 1
  (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root python3-scipy python3-sklearn python3-sklearn-lib) || return 1
  for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder" || return 1; done
  rm -f "$folder"/*.deb
  mv "$folder" build/python
}
