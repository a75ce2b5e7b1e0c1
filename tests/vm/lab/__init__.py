"""The stage on which muster is watched: a real Debian kernel under QEMU, real disks, real hot-plug."""
