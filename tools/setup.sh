#!/bin/sh
# Make sure that what tools/packages.txt names is installed. As root it installs what is missing, by
# apt, without starting any service a package brings; as an ordinary user it names the packages and
# the command. Does nothing, quickly, when all is there.
set -eu
cd "$(dirname "$0")/.."

packages=$(sed 's/#.*//' tools/packages.txt)
if ! command -v dpkg-query >/dev/null; then
    echo "setup: this system has no dpkg; install the equivalents of: $(echo $packages)" >&2
    exit 0
fi

missing=""
for package in $packages; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "setup: these packages are missing:$missing" >&2
    echo "setup: install them with" >&2
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi

# Debian asks policy-rc.d before it starts a service; 101 says no. What was there before comes back.
policy=/usr/sbin/policy-rc.d
saved=""
restore() {
    if [ -n "$saved" ]; then mv -f "$saved" "$policy"; else rm -f "$policy"; fi
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
    saved="$policy.quorate-saved"
    mv -f "$policy" "$saved"
fi
trap restore EXIT
trap 'exit 130' INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends $missing
