#!/bin/sh
# The queue is done when everything that the restore needs is there.
for volume in $(getarg bench.volumes= | tr , ' '); do
    [ -b "/dev/$volume" ] || return 1
done
wanted=$(getarg bench.wanted=)
[ -z "$wanted" ] || [ -b "/dev/$wanted" ] || return 1
[ -e /dev/disk/by-label/MONDO1 ]
