/* fill TEXT: blocks of 4 KiB on stdout, each with its own number, of text and noise, until nobody takes them. */
#include "common.h"

int main(int argc, char **argv)
{
	char block[4096] __attribute__((aligned(8)));
	unsigned long noise = 88172645463325252ul;
	for (unsigned long number = 0;; number++) {
		for (size_t i = 0; i < sizeof block / 8; i++) {
			noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
			((unsigned long *)block)[i] = noise;
		}
		snprintf(block, 256, "%s %lu\n", argc > 1 ? argv[1] : "", number);
		if (write(1, block, sizeof block) != (ssize_t)sizeof block)
			return 0;
	}
}
