#!/bin/sh
mkdir -p /mnt/cdrom
mount -t iso9660 -o ro /dev/disk/by-label/MONDO1 /mnt/cdrom
exec /sbin/mondorestore
