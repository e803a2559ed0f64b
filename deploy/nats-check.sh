#!/bin/sh
# The broker's health check. From the first write that failed for want of space, nats-server leaves
# every publish to that stream without an answer until it is started again. So once there is room,
# end it: Compose starts it again. Process 1 is the server.
MONITOR_PORT=8222
ENOUGH_KIB=32768

ask() {
  if command -v nc >/dev/null; then # busybox's wget hides the text of a 503
    printf 'GET /healthz HTTP/1.0\r\n\r\n' | nc -w 3 127.0.0.1 "$MONITOR_PORT"
  else
    wget -q -O - --content-on-error "http://127.0.0.1:$MONITOR_PORT/healthz"
  fi
}

case $(ask) in
*'write error'*)
  free_kib=$(df -Pk /data | awk 'NR == 2 { print $4 }')
  [ "$free_kib" -ge "$ENOUGH_KIB" ] && kill 1
  exit 1
  ;;
esac
wget -q -O /dev/null "http://127.0.0.1:$MONITOR_PORT/healthz?js-enabled-only=true"
