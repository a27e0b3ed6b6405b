#!/bin/sh
# Keeps a test network for as long as somebody holds its stdin, and takes it down after that, whatever became
# of the other end: an end of test, ctrl-C, a kill -9. The lock goes with this process, so a number that is
# free to lock is free to use, and what a killed guard left is swept by the next one of its number.
#
# guard.sh keep ROOT N    prints `claimed` when the number is ours; exit 75 when it is somebody else's
# guard.sh down ROOT N    takes it down now
set -u
verb=$1 root=$2 n=$3
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# All processes of a network namespace, and with the first process of a host all that its containers run.
empty() {
  tries=0
  while pids=$(ip netns pids "$1" 2>/dev/null) && [ -n "$pids" ] && [ "$tries" -lt 200 ]; do
    kill -9 $pids 2>/dev/null
    sleep 0.05
    tries=$((tries + 1))
  done
}

tear_down() {
  for ns in /run/netns/"lk$n"-*; do
    [ -e "$ns" ] || continue
    empty "${ns##*/}"
    ip netns del "${ns##*/}"
  done
  for link in "/sys/class/net/lk$n" /sys/class/net/"lk${n}v"*; do
    if [ -e "$link" ]; then ip link del "${link##*/}" 2>/dev/null; fi
  done
  for group in /sys/fs/cgroup/"lockkeeper-$n-"* /sys/fs/cgroup/*/"lockkeeper-$n-"*; do
    if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null; fi
  done
  # The kernel lets go of a dead host's mounts a moment later.
  tries=0
  until rm -rf "${root:?}/$n" 2>/dev/null || [ "$tries" -ge 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}

case $verb in
  keep)
    mkdir -p "$root"
    exec 9>"$root/$n.lock"
    flock -n 9 || exit 75
    tear_down
    mkdir -m 700 "$root/$n"
    echo claimed
    cat >/dev/null
    tear_down
    ;;
  down) tear_down ;;
esac
