#!/bin/sh
# redis.sh PORT DIR [FLAGS...]: one Redis on loopback whose every answer to a write is on disk (appendfsync always).
# In the foreground: its process id is the caller's to signal. RDB snapshots and AOF rewrites are off, so that nothing
# but the log is measured.
set -eu
port=$1 dir=$2
shift 2
mkdir -p "$dir"
exec redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save "" --appendonly yes \
    --appendfsync always --auto-aof-rewrite-percentage 0 --daemonize no --logfile "$dir/redis.log" "$@"
