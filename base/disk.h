/* What kind of file system a folder is on. */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include <stdint.h>

/* The name of the local file system that has this f_type (statfs): "ext4", "tmpfs", ...; NULL: not known here. */
const char *disk_local_name(int64_t type);
/* Of a network file system, or NULL: SQLite's locks and syncs are only sure on a disk of the machine's own. */
const char *disk_network_name(int64_t type);

#endif
