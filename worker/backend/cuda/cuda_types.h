/* The types and numbers of CUDA's driver, NVRTC and cuBLASLt that we use, under CUDA's names, so that a worker is built
   where CUDA is not. Enums of CUDA are unsigned ints here, and handles pointers to what is never defined. */
#ifndef WORKER_BACKEND_CUDA_CUDA_TYPES_H
#define WORKER_BACKEND_CUDA_CUDA_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef unsigned CUresult, CUdevice_attribute, CUjit_option;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;

typedef unsigned nvrtcResult;
typedef struct nvrtc_program *nvrtcProgram;

typedef unsigned cublasStatus_t, cublasComputeType_t, cudaDataType_t;
typedef unsigned cublasLtMatmulDescAttributes_t, cublasLtMatmulPreferenceAttributes_t;
typedef struct cublaslt_context *cublasLtHandle_t;
typedef struct cublaslt_matmul_desc *cublasLtMatmulDesc_t;
typedef struct cublaslt_matrix_layout *cublasLtMatrixLayout_t;
typedef struct cublaslt_preference *cublasLtMatmulPreference_t;

typedef struct {
  uint64_t data[8];
} cublasLtMatmulAlgo_t;

typedef struct {
  cublasLtMatmulAlgo_t algo;
  size_t workspaceSize;
  cublasStatus_t state;
  float wavesCount;
  int reserved[4];
} cublasLtMatmulHeuristicResult_t;

enum {
#define CUDA_CONSTANT(name, value) name = value,
#define CUDA_LAYOUT(type, bytes)
#include "worker/backend/cuda/constants.def"
#undef CUDA_CONSTANT
#undef CUDA_LAYOUT
};

#define CUDA_CONSTANT(name, value)
#define CUDA_LAYOUT(type, bytes) _Static_assert(sizeof(type) == (bytes), #type);
#include "worker/backend/cuda/constants.def"
#undef CUDA_CONSTANT
#undef CUDA_LAYOUT

#endif
