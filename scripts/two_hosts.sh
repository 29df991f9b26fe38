#!/usr/bin/env bash
# A tournament across two machines, as two network namespaces joined by a bridge in a third: each has its own Ray node, processes,
# host name and directories, and an S3 server (moto's) stands at the bridge. Its tables have to be those of one machine.
# Needs root; leaves nothing behind, also where it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-$PWD/.venv/bin/python}
if [ "$(id -u)" != 0 ]; then
    echo "scripts/two_hosts.sh makes network namespaces: run it as root." >&2
    exit 2
fi
for program in ip unshare mount; do
    command -v $program > /dev/null || { echo "scripts/two_hosts.sh needs the program $program, which is not installed." >&2; exit 2; }
done

id=$$
work=$(mktemp -d /var/tmp/two-hosts-XXXXXX)
switch=harness-switch-$id north=harness-north-$id south=harness-south-$id
at_switch=198.18.13.1 at_north=198.18.13.2 at_south=198.18.13.3

cleanup() {
    trap - EXIT
    local job
    for job in $(jobs -p); do kill -KILL "$job" 2> /dev/null || true; done
    wait 2> /dev/null || true
    # With a namespace go its ends of the cables, and with the switch the bridge.
    for namespace in $north $south $switch; do ip netns delete "$namespace" 2> /dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ip netns add $switch
ip -n $switch link set lo up
ip -n $switch link add bridge type bridge
ip -n $switch address add $at_switch/24 dev bridge
ip -n $switch link set bridge up
for host in north south; do
    ip netns add "${!host}"
    at=at_$host
    ip -n $switch link add $host type veth peer name eth0 netns "${!host}"
    ip -n $switch link set $host master bridge up
    ip -n "${!host}" link set lo up
    ip -n "${!host}" address add "${!at}/24" dev eth0
    ip -n "${!host}" link set eth0 up
done

export PYTHON PYTHONPATH=$PWD RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_memory_monitor_refresh_ms=0 OMP_NUM_THREADS=1
RAY_AUTH_TOKEN=$($PYTHON -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
export AWS_ENDPOINT_URL=http://$at_switch:9000 AWS_ALLOW_HTTP=true AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test

# Everything that runs on a machine is in its own process namespace: it ends with the first of them.
machine() {
    local host=$1
    shift
    mkdir -p "$work/$host/ray" "$work/$host/tmp"
    TMPDIR=$work/$host/tmp exec ip netns exec "${!host}" unshare --mount --uts --pid --fork --kill-child --mount-proc \
        bash -euc 'hostname "$1"; mkdir -p /tmp/ray; mount --bind "$2/ray" /tmp/ray; shift 2; exec "$@"' - "$host" "$work/$host" "$@"
}

ray() { echo "$PYTHON -m ray.scripts.scripts $*"; }

$PYTHON -m scripts.two_hosts write "$work"
ip netns exec $switch "$PYTHON" -m scripts.two_hosts serve $at_switch 9000 > "$work/store.log" 2>&1 &
began=$SECONDS
(machine south bash -euc "
    until (exec 3<> /dev/tcp/$at_north/6379) 2> /dev/null; do sleep 0.2; done
    exec $(ray start --address=$at_north:6379 --node-ip-address=$at_south --num-cpus=1 --object-store-memory=80000000 --block)
") > "$work/south.log" 2>&1 &
(machine north bash -euc "
    $(ray start --head --port=6379 --node-ip-address=$at_north --num-cpus=1 --object-store-memory=80000000 --include-dashboard=false)
    exec $PYTHON -m scripts.two_hosts play $work $at_north:6379
") > "$work/north.log" 2>&1 &
# In the background too: a shell that is told to end waits for what it has in front.
wait $! || { cat "$work"/*.log >&2; exit 1; }
echo "Two machines: $((SECONDS - began)) s, Ray's start included."
$PYTHON -m scripts.two_hosts compare "$work"
