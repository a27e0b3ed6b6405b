#!/bin/sh
# The first process of a host, in namespaces of its own: makes the machine's files its root, copy-on-write, and
# starts what an EC2 instance runs. Nothing that a host writes reaches the machine.
#
# init.sh DISK NAME CGROUP REGISTRIES…    DISK holds upper, work, root and docker
set -eu
disk=$1 name=$2 cgroup=$3
shift 3
root=$disk/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir -p "$root/var/lib/docker"
if [ -f "$disk/small.ext4" ]; then
  # A disk that can fill up: images, containers and the users' homes are on it.
  mkdir -p "$disk/small"
  mount -o loop "$disk/small.ext4" "$disk/small"
  mount --bind "$disk/small/docker" "$root/var/lib/docker"
  mount --bind "$disk/small/home" "$root/home"
else
  mount --bind "$disk/docker" "$root/var/lib/docker"
fi
# Other hosts' disks are not this one's to see.
mount -t tmpfs -o mode=755 tmpfs "$root/var/tmp"
mkdir -p "$root/mnt"
cd "$root"
pivot_root . mnt
cd /
umount -l /mnt
hostname "$name"
# Each boot is another one to whoever asks the kernel, as on a machine of its own.
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
mkdir -p /run/sshd
insecure=
for registry; do insecure="$insecure --insecure-registry $registry"; done
/usr/sbin/sshd -E /var/log/sshd.log
# shellcheck disable=SC2086 # one option each
dockerd --host unix:///run/docker.sock --group docker --cgroup-parent "/$cgroup" $insecure >>/var/log/dockerd.log 2>&1 &
# As init does: whatever is orphaned is waited for here.
exec tini -s -- sleep infinity
