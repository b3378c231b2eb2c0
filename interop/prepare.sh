#!/bin/bash
# Installs what the tests in this directory run: programs and Python libraries from
# Debian, and a WebSocket server for node from npm. It is quick where everything is
# there already.
set -eu
cd "$(dirname "$0")"

packages=(tinyproxy-bin microsocks nginx nghttp2-proxy nodejs npm)
programs=(tinyproxy microsocks nginx nghttpx node npm)
libraries=(websockets aiohttp tornado) # for /usr/bin/python3

missing=()
for i in "${!programs[@]}"; do
	if ! PATH="$PATH:/usr/sbin" command -v "${programs[i]}" >/dev/null; then
		missing+=("${packages[i]}")
	fi
done
for library in "${libraries[@]}"; do
	if ! /usr/bin/python3 -c "import $library" 2>/dev/null; then
		missing+=("python3-$library")
	fi
done
if [ "${#missing[@]}" -gt 0 ]; then
	sudo=()
	if [ "$(id -u)" -ne 0 ]; then
		sudo=(sudo)
	fi
	"${sudo[@]}" apt-get update -qq
	# Single-user mode is no time for services: the tests start the programs themselves.
	"${sudo[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

# npm ci starts over each time; it is needed only when the lock file has changed.
if ! cmp -s node/package-lock.json node/node_modules/installed-lock.json; then
	(cd node && npm ci --no-audit --no-fund)
	cp node/package-lock.json node/node_modules/installed-lock.json
fi
