/* What nvcc made of the kernels (the Makefile's rule), part of the program. */
#ifndef WORKER_BACKEND_CUDA_CUDA_KERNELS_H
#define WORKER_BACKEND_CUDA_CUDA_KERNELS_H

/* A fat binary; NULL where there was no nvcc. It has its own length. */
extern const unsigned char *const cuda_kernels;
/* Major version of CUDA that it was made with, and that a driver must know; 0: none. */
extern const int cuda_kernels_version;

#endif
