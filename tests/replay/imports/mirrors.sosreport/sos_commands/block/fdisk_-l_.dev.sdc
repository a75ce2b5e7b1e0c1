Disk /dev/sdc: 16 MiB, 16777216 bytes, 32768 sectors
Disk model: VM-n1           
Units: sectors of 1 * 512 = 512 bytes
Sector size (logical/physical): 512 bytes / 512 bytes
I/O size (minimum/optimal): 512 bytes / 512 bytes
