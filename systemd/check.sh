#!/usr/bin/env bash
# Holds the unit against systemd: it must verify cleanly, and its exposure (0 best, 10 worst) must
# be at most 1.5, with the drop-ins at most 2.0. Exits with 77 when systemd-analyze is missing.
set -euo pipefail
cd "$(dirname "$0")"
command -v systemd-analyze >/dev/null || { echo "SKIPPED: systemd-analyze is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# `verify` wants the program to be there; any will do.
sed 's#^ExecStart=[^ ]*#ExecStart=/bin/true#' bellwire.service >"$work/bellwire.service"
findings=$(systemd-analyze verify --man=no "$work/bellwire.service" 2>&1) || {
  echo "$findings"; exit 1
}
[ -z "$findings" ] || { echo "$findings"; exit 1; }

# Exposure in tenths, as systemd-analyze takes its threshold.
exposure() {
  local name=$1 tenths=$2 file=$3
  local verdict
  verdict=$(systemd-analyze security --no-pager --offline=true --threshold="$tenths" "$file") || {
    echo "$verdict"; echo "$name: exposure is above $tenths tenths"; exit 1
  }
  echo "$name: ${verdict##*→ }"
}
exposure bellwire.service 15 "$work/bellwire.service"
for dropin in bellwire.service.d/*.conf; do
  cat "$work/bellwire.service" "$dropin" >"$work/with.service"
  findings=$(systemd-analyze verify --man=no "$work/with.service" 2>&1) || { echo "$findings"; exit 1; }
  [ -z "$findings" ] || { echo "$findings"; exit 1; }
  exposure "with ${dropin##*/}" 20 "$work/with.service"
done
