/*
 * The floor: an /init that knows the answer before it starts, and makes only the kernel calls that cannot be avoided.
 *
 * It is told in /floor.conf which modules to load in which order, which disks will come, which array is made of which of
 * them, and the tables of the LVs (as lvm2 itself once set them up). So it probes nothing, reads no superblock, resolves
 * no alias, scans no directory and starts no process. It hears of disks by the kernel's uevents, never sleeps and never
 * polls. What it needs is what every other must need as well, whatever it does besides.
 *
 *   first FILE              a driver of the hardware                      rest FILE    any other module, after those
 *   disk NAME PATTERN       (fnmatch of its devpath)                      medium PATTERN
 *   wanted PATTERN          a disk that must be there, and no more
 *   array NUMBER NAME...    metadata 1.2, members that are disks
 *   map NAME UUID           followed by its rows: row START LENGTH TYPE WORDS, where a word @NAME stands for a device
 *   link PATH NAME          a name of a map in /dev
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/dm-ioctl.h>
#include <linux/major.h>
#include <linux/netlink.h>
#include <linux/raid/md_u.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { kMost = 512, kMembers = 8, kRows = 32 };

struct disk {
	char *name, *pattern, node[64];
	int here;
	unsigned major, minor;
};

struct array {
	int number, members, up;
	char *member[kMembers];
};

struct row {
	unsigned long long start, length;
	char *type, *words;
};

struct map {
	char *name, *uuid, *link;
	int rows, up;
	unsigned minor;
	struct row row[kRows];
};

static char *first[kMost], *rest[kMost];
static struct disk disks[kMost];
static struct array arrays[kMost];
static struct map maps[kMost];
static int firsts, rests, disk_count, array_count, map_count, medium = -1, mounted, loaded, control = -1;

static void stop(const char *what, const char *subject)
{
	fprintf(stderr, "floor: %s %s: %s\n", what, subject, strerror(errno));
	for (;;)
		pause();
}

static void read_configuration(void)
{
	FILE *file = fopen("/floor.conf", "re");
	char *line = NULL;
	size_t room = 0;
	if (!file)
		stop("cannot read", "/floor.conf");
	while (getline(&line, &room, file) > 0) {
		char *save, *kind = strtok_r(line, " \n", &save);
		if (!kind)
			continue;
		char *word = strdup(strtok_r(NULL, " \n", &save));
		if (!strcmp(kind, "first")) {
			first[firsts++] = word;
		} else if (!strcmp(kind, "rest")) {
			rest[rests++] = word;
		} else if (!strcmp(kind, "disk")) {
			disks[disk_count++] = (struct disk){.name = word, .pattern = strdup(strtok_r(NULL, " \n", &save))};
		} else if (!strcmp(kind, "medium") || !strcmp(kind, "wanted")) {
			if (*kind == 'm')
				medium = disk_count;
			disks[disk_count++] = (struct disk){.name = kind, .pattern = word};
		} else if (!strcmp(kind, "array")) {
			struct array *array = &arrays[array_count++];
			array->number = atoi(word);
			for (char *name; (name = strtok_r(NULL, " \n", &save));)
				array->member[array->members++] = strdup(name);
		} else if (!strcmp(kind, "map")) {
			maps[map_count++] = (struct map){.name = word, .uuid = strdup(strtok_r(NULL, " \n", &save))};
		} else if (!strcmp(kind, "row")) {
			struct row *row = &maps[map_count - 1].row[maps[map_count - 1].rows++];
			row->start = strtoull(word, NULL, 10);
			row->length = strtoull(strtok_r(NULL, " \n", &save), NULL, 10);
			row->type = strdup(strtok_r(NULL, " \n", &save));
			row->words = strdup(strtok_r(NULL, "\n", &save));
		} else if (!strcmp(kind, "link")) {
			char *name = strtok_r(NULL, " \n", &save);
			for (int i = 0; i < map_count; i++)
				if (!strcmp(maps[i].name, name))
					maps[i].link = word;
		}
	}
	fclose(file);
	free(line);
}

/* Without async_probe every insertion ends by waiting for all probes of all drivers, such as the ports of an AHCI. */
static void load(char **modules, int count)
{
	for (int i = 0; i < count; i++) {
		int fd = open(modules[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "async_probe=1", 0) && errno != EEXIST))
			stop("cannot load", modules[i]);
		close(fd);
	}
}

static void *load_first(void *unused)
{
	load(first, firsts);
	return unused;
}

/* Hardware that is being waited for leaves the CPU to this; with one CPU nothing of it delays a driver. */
static void *load_rest(void *bell)
{
	struct sched_param parameter = {0};
	sched_setscheduler((pid_t)syscall(SYS_gettid), SCHED_IDLE, &parameter);
	load(rest, rests);
	(void)!write(*(int *)bell, "x", 1);
	return NULL;
}

static struct disk *disk_called(const char *name)
{
	for (int i = 0; i < disk_count; i++)
		if (!strcmp(disks[i].name, name))
			return &disks[i];
	return NULL;
}

static int start(struct array *array)
{
	char path[64];
	for (int i = 0; i < array->members; i++)
		if (!disk_called(array->member[i])->here)
			return 0;
	snprintf(path, sizeof path, "/dev/md%d", array->number);
	mknod(path, S_IFBLK | 0600, makedev(MD_MAJOR, (unsigned)array->number));
	int fd = open(path, O_RDWR | O_CLOEXEC);
	mdu_array_info_t info = {.major_version = 1, .minor_version = 2};
	if (fd < 0 || ioctl(fd, SET_ARRAY_INFO, &info))
		stop("cannot set up", path);
	for (int i = 0; i < array->members; i++) {
		struct disk *disk = disk_called(array->member[i]);
		mdu_disk_info_t member = {.major = (int)disk->major, .minor = (int)disk->minor};
		if (ioctl(fd, ADD_NEW_DISK, &member))
			stop("cannot add", disk->name);
	}
	if (ioctl(fd, RUN_ARRAY, NULL))
		stop("cannot run", path);
	close(fd);
	array->up = 1;
	return 1;
}

/* @NAME becomes MAJOR:MINOR; 0 if that is not there yet. */
static int translate(const char *words, char *into, size_t room)
{
	size_t used = 0;
	while (*words && used + 32 < room) {
		if (*words != '@') {
			into[used++] = *words++;
			continue;
		}
		size_t length = strcspn(++words, " ");
		char name[64];
		snprintf(name, sizeof name, "%.*s", (int)length, words);
		words += length;
		struct disk *disk = disk_called(name);
		unsigned major = 0, minor = 0;
		int here = 0;
		if (disk) {
			here = disk->here, major = disk->major, minor = disk->minor;
		} else {
			for (int i = 0; i < array_count; i++)
				if (!strncmp(name, "md", 2) && atoi(name + 2) == arrays[i].number)
					here = arrays[i].up, major = MD_MAJOR, minor = (unsigned)arrays[i].number;
		}
		if (!here)
			return 0;
		used += (size_t)snprintf(into + used, room - used, "%u:%u", major, minor);
	}
	into[used] = 0;
	return 1;
}

static struct dm_ioctl *request(char *buffer, size_t room, const struct map *map)
{
	struct dm_ioctl *dm = (void *)buffer;
	memset(dm, 0, sizeof *dm);
	dm->version[0] = DM_VERSION_MAJOR;
	dm->data_size = (unsigned)room;
	dm->data_start = sizeof *dm;
	snprintf(dm->name, sizeof dm->name, "%s", map->name);
	return dm;
}

static int create(struct map *map)
{
	static char buffer[16384];
	char words[kRows][256];
	for (int i = 0; i < map->rows; i++)
		if (!translate(map->row[i].words, words[i], sizeof words[i]))
			return 0;
	if (control < 0) {
		mkdir("/dev/mapper", 0755);
		mknod("/dev/mapper/control", S_IFCHR | 0600, makedev(MISC_MAJOR, 236));
		control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	}
	struct dm_ioctl *dm = request(buffer, sizeof buffer, map);
	snprintf(dm->uuid, sizeof dm->uuid, "%s", map->uuid);
	if (ioctl(control, DM_DEV_CREATE, dm))
		stop("cannot create", map->name);
	map->minor = minor(dm->dev);
	dm = request(buffer, sizeof buffer, map);
	dm->target_count = (unsigned)map->rows;
	char *at = buffer + sizeof *dm;
	for (int i = 0; i < map->rows; i++) {
		struct dm_target_spec *target = (void *)at;
		memset(target, 0, sizeof *target);
		target->sector_start = map->row[i].start;
		target->length = map->row[i].length;
		snprintf(target->target_type, sizeof target->target_type, "%s", map->row[i].type);
		size_t size = (sizeof *target + strlen(words[i]) + 1 + 7) & ~(size_t)7;
		strcpy(at + sizeof *target, words[i]);
		target->next = (unsigned)size;
		at += size;
	}
	if (ioctl(control, DM_TABLE_LOAD, dm))
		stop("cannot load the table of", map->name);
	dm = request(buffer, sizeof buffer, map);
	if (ioctl(control, DM_DEV_SUSPEND, dm)) /* without DM_SUSPEND_FLAG this resumes */
		stop("cannot resume", map->name);
	char target[64], path[320];
	snprintf(target, sizeof target, "/dev/dm-%u", map->minor);
	snprintf(path, sizeof path, "/dev/%s", map->link);
	if (map->link && symlink(target, path) && errno == ENOENT) {
		*strrchr(path, '/') = 0;
		mkdir(path, 0755);
		path[strlen(path)] = '/';
		if (symlink(target, path))
			stop("cannot link", path);
	}
	map->up = 1;
	return 1;
}

static void mount_medium(void)
{
	/* a drive whose disc is not ready says so by another event */
	if (!mount(disks[medium].node, "/mnt/cdrom", "iso9660", MS_RDONLY, NULL))
		mounted = 1;
}

/* Everything that can be done now; true when nothing is left. */
static int advance(void)
{
	int missing = 0;
	if (!loaded)
		return 0;
	for (int i = 0; i < array_count; i++)
		missing += !arrays[i].up && !start(&arrays[i]);
	for (int i = 0; i < map_count; i++)
		missing += !maps[i].up && !create(&maps[i]);
	if (!mounted && disks[medium].here)
		mount_medium();
	for (int i = 0; i < disk_count; i++)
		missing += !disks[i].here;
	return !missing && mounted;
}

static void take(char *message, ssize_t size)
{
	const char *type = "", *name = "", *major = "0", *minor = "0", *subsystem = "";
	char *path = strchr(message, '@');
	for (char *p = message + strlen(message) + 1; p < message + size; p += strlen(p) + 1) {
		if (!strncmp(p, "SUBSYSTEM=", 10))
			subsystem = p + 10;
		else if (!strncmp(p, "DEVTYPE=", 8))
			type = p + 8;
		else if (!strncmp(p, "DEVNAME=", 8))
			name = p + 8;
		else if (!strncmp(p, "MAJOR=", 6))
			major = p + 6;
		else if (!strncmp(p, "MINOR=", 6))
			minor = p + 6;
	}
	if (!path || strncmp(message, "add@", 4) || strcmp(subsystem, "block") || strcmp(type, "disk"))
		return;
	for (int i = 0; i < disk_count; i++) {
		if (disks[i].here || fnmatch(disks[i].pattern, path + 1, 0))
			continue;
		disks[i].here = 1;
		disks[i].major = (unsigned)atoi(major);
		disks[i].minor = (unsigned)atoi(minor);
		snprintf(disks[i].node, sizeof disks[i].node, "/dev/%s", name);
		return;
	}
}

int main(void)
{
	static char message[65536];
	int bell[2], size = 32 << 20;
	pthread_t thread;
	/* What everybody needs who comes after us. */
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	read_configuration();
	/* All modules are loaded by name: the kernel need not ask for them. */
	int fd = open("/proc/sys/kernel/modprobe", O_WRONLY | O_CLOEXEC);
	(void)!write(fd, "\n", 1);
	close(fd);
	int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	setsockopt(events, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	if (events < 0 || bind(events, (struct sockaddr *)&address, sizeof address) || pipe2(bell, O_CLOEXEC))
		stop("cannot listen to", "uevents");
	pthread_create(&thread, NULL, load_first, NULL);
	pthread_create(&thread, NULL, load_rest, &bell[1]);
	for (;;) {
		struct pollfd polls[2] = {{events, POLLIN, 0}, {loaded ? -1 : bell[0], POLLIN, 0}};
		if (poll(polls, 2, -1) < 0)
			continue;
		if (polls[1].revents & POLLIN) {
			loaded = 1;
			/* an array that nobody writes to stays as it is on the disks */
			fd = open("/sys/module/md_mod/parameters/start_ro", O_WRONLY | O_CLOEXEC);
			(void)!write(fd, "1", 1);
			close(fd);
		}
		for (ssize_t got; (got = recv(events, message, sizeof message - 1, 0)) > 0;) {
			message[got] = 0;
			take(message, got);
		}
		if (advance()) {
			execl("/sbin/mondorestore", "/sbin/mondorestore", (char *)NULL);
			stop("cannot start", "/sbin/mondorestore");
		}
	}
}
