#!/bin/sh
# Install or upgrade one service on this host, as root; `make install-edge VIEW=left` calls it.
#   install.sh edge left|right      install.sh emulator      install.sh center
# /opt/vergence holds the programs, /etc/vergence the configuration, which an upgrade leaves as it is.
# ROOT=/some/folder installs there and starts nothing, for building packages and images.
set -eu
cd "$(dirname "$0")/../.."
service=${1:?edge, emulator or center} instance=${2:-}
root=${ROOT:-} python=${PYTHON:-python3}

case $service in
  edge)
    unit=vergence-edge@.service started=vergence-edge@${instance:?left or right} config=edge-$instance.yaml
    export VERGENCE_EDGE__VIEW="$instance" ;; # as the unit does
  emulator | center) unit=vergence-$service.service started=vergence-$service config=$service.yaml ;;
  *) echo "unknown service '$service'; allowed: edge, emulator, center" >&2; exit 2 ;;
esac
if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
  echo "this writes to /opt, /etc and systemd; run it as root" >&2
  exit 1
fi

[ -x "$root/opt/vergence/bin/pip" ] || "$python" -m venv "$root/opt/vergence"
rm -rf build/lib # what an older version left there would come along
"$root/opt/vergence/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade ".[$service]"
install -d -m 755 "$root/etc/vergence" "$root/etc/systemd/system/vergence-.service.d"
[ -e "$root/etc/vergence/$config" ] || install -m 644 "deploy/config/$service.yaml" "$root/etc/vergence/$config"
install -m 644 "deploy/systemd/$unit" "$root/etc/systemd/system/$unit"
install -m 644 deploy/systemd/vergence-.service.d/10-common.conf "$root/etc/systemd/system/vergence-.service.d/"
if [ -n "$root" ]; then # the programs will run where this folder is /
  find "$root/opt/vergence/bin" -type f -exec sed -i "1s|^#!$root/|#!/|" {} +
fi
"$root/opt/vergence/bin/python" "$root/opt/vergence/bin/vergence-$service" check-config --config "$root/etc/vergence/$config"

if [ -z "$root" ]; then
  systemctl daemon-reload
  systemctl enable "$started"
  systemctl restart "$started"
  systemctl --no-pager --lines 3 status "$started"
else
  echo "installed into $root; nothing is started"
fi
