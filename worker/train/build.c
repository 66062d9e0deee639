#include "worker/train/build.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

/* The first object is the program itself. */
static int find(struct dl_phdr_info *info, size_t size, void *out) {
  (void)size;
  for (ElfW(Half) i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    if (segment->p_type != PT_NOTE)
      continue;
    const unsigned char *at = (const unsigned char *)(info->dlpi_addr + segment->p_vaddr);
    for (size_t rest = segment->p_memsz; rest >= sizeof(ElfW(Nhdr));) {
      ElfW(Nhdr) note;
      memcpy(&note, at, sizeof note);
      size_t align = segment->p_align == 8 ? 8 : 4;
      size_t name = (sizeof note + note.n_namesz + align - 1) / align * align;
      size_t length = (name + note.n_descsz + align - 1) / align * align;
      if (length > rest)
        break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(at + sizeof note, "GNU", 4) == 0) {
        for (size_t d = 0; d < note.n_descsz && d < (BUILD_ID_HEX - 1) / 2; d++)
          snprintf((char *)out + 2 * d, 3, "%02x", at[name + d]);
        return 1;
      }
      at += length;
      rest -= length;
    }
  }
  return 1;
}

void build_id(char out[BUILD_ID_HEX]) {
  snprintf(out, BUILD_ID_HEX, "%s", REFLECTD_VERSION);
  dl_iterate_phdr(find, out);
}
