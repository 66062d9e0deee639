/* Which build this program is: the linker's build ID, the same for the same machine code. */
#ifndef WORKER_TRAIN_BUILD_H
#define WORKER_TRAIN_BUILD_H

enum { BUILD_ID_HEX = 41 };

/* Hexadecimal digits; the version where the program carries no ID. */
void build_id(char out[BUILD_ID_HEX]);

#endif
