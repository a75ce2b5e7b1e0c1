#!/bin/bash
check() { return 0; }
depends() { echo rootfs-block; }
installkernel() { instmods isofs sr_mod; }
install() {
    inst_multiple tr mkdir
    inst_hook initqueue/finished 90 "$moddir/mondo-finished.sh"
    inst_hook pre-mount 50 "$moddir/mondo-start.sh"
}
