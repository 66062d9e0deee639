/* The source of all kernels as one text without includes, for devices whose driver compiles it. */
#ifndef WORKER_BACKEND_DEVICE_PROGRAM_H
#define WORKER_BACKEND_DEVICE_PROGRAM_H

extern const char device_program[];

#endif
