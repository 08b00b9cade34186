#!/usr/bin/env bash
# Succeeds when the server of this container is ready: every model that it is asked to serve is
# loaded. Needs REST on port 8501, where the entry point puts it.
set -euo pipefail
exec 3<>/dev/tcp/127.0.0.1/8501
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 5 _ status _ <&3
[ "$status" = 200 ]
