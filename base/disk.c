#include "base/disk.h"

#include <stddef.h>

#include "base/attr.h"

struct known {
  int64_t type; /* f_type of statfs */
  const char *name;
};

static const char *find(const struct known *known, size_t count, int64_t type) {
  for (size_t i = 0; i < count; i++)
    if ((known[i].type & 0xFFFFFFFF) == (type & 0xFFFFFFFF)) /* as some kernels sign it */
      return known[i].name;
  return NULL;
}

const char *disk_local_name(int64_t type) {
  static const struct known known[] = {{0xEF53, "ext4"},        {0x58465342, "xfs"},       {0x9123683E, "btrfs"},
                                       {0xF2F52010, "f2fs"},    {0x2FC12FC1, "zfs"},       {0x01021994, "tmpfs"},
                                       {0x858458F6, "ramfs"},   {0x794C7630, "overlayfs"}, {0x4D44, "vfat"},
                                       {0xCA451A4E, "bcachefs"}};
  return find(known, COUNT_OF(known), type);
}

const char *disk_network_name(int64_t type) {
  static const struct known known[] = {
      {0x6969, "NFS"},      {0xFF534D42, "CIFS"},  {0xFE534D42, "SMB"},    {0x517B, "SMB"},      {0x5346414F, "AFS"},
      {0x564C, "NCP"},      {0x00C36400, "Ceph"},  {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"}, {0x01021997, "9P"},
      {0x01161970, "GFS2"}, {0x7461636F, "OCFS2"}, {0x19830326, "BeeGFS"}};
  return find(known, COUNT_OF(known), type);
}
