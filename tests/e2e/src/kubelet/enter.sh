# Runs a container's program in a mount namespace of its own (unshare --mount). Arguments: ROOT, MOUNTS (a file of lines
# `SOURCE|TARGET|ro or rw`), READ_ONLY (true or false), USER, GROUP, GROUPS, then the program inside of ROOT and its arguments.
set -eu
root=$1 mounts=$2 read_only=$3 user=$4 group=$5 groups=$6
shift 6
mount --make-rprivate /
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
for device in null zero full random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
while IFS='|' read -r source target mode; do
    mount --bind "$source" "$root$target"
    [ "$mode" = rw ] || mount -o remount,bind,ro "$root$target"
done <"$mounts"
[ "$read_only" = false ] || mount -o remount,bind,ro "$root"
# Leaving root takes all capabilities away; with no_new_privs none come back.
exec setpriv --no-new-privs --inh-caps=-all chroot --userspec="$user:$group" --groups="$groups" "$root" "$@"
