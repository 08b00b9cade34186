#!/usr/bin/env bash
# Installs what fastserve is built with in a manylinux_2_34 image: header-only libraries as packages,
# and nghttp2, whose packaged version is too old there, from its release. auditwheel then puts the
# library into the wheel.
set -euo pipefail
version=1.64.0
sha256=88bb94c9e4fd1c499967f83dece36a78122af7d5fb40da2019c56b9ccc6eb9dd

dnf install -y -q epel-release
dnf install -y -q --enablerepo=crb openssl-devel protozero-devel rapidjson-devel xz zlib-devel

cd "$(mktemp -d)"
archive=nghttp2-$version.tar.xz
curl -fsSLO "https://github.com/nghttp2/nghttp2/releases/download/v$version/$archive"
echo "$sha256  $archive" | sha256sum --check --quiet
tar -xf "$archive"
cd "nghttp2-$version"
./configure --quiet --enable-lib-only --prefix=/usr --libdir=/usr/lib64
make -s -j"$(nproc)" install
