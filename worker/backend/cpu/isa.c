/* A new instruction set is a row here, and its flags in the Makefile. */
#include "worker/backend/cpu/isa.h"

#include <stdio.h>
#include <string.h>

#ifdef __x86_64__
#include <sys/syscall.h>
#include <unistd.h>

static bool runs_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

static bool runs_avx512(void) {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool runs_avx512_bf16(void) {
  return runs_avx512() && __builtin_cpu_supports("avx512bf16");
}

/* Linux gives a process the registers of tiles when it asks for them. */
static bool runs_amx(void) {
  enum { REQUEST_FEATURE = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
  return runs_avx512_bf16() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
         syscall(SYS_arch_prctl, REQUEST_FEATURE, TILE_DATA) == 0;
}
#endif

static bool runs_everywhere(void) {
  return true;
}

static const struct isa best_first[] = {
#ifdef __x86_64__
    {"amx", runs_amx, &kernels_avx512, &gemm_ukernel_amx, &attention_kernels_amx, MATMUL_NATIVE},
    {"avx512_bf16", runs_avx512_bf16, &kernels_avx512, &gemm_ukernel_avx512_bf16, NULL, MATMUL_NATIVE},
    {"avx512", runs_avx512, &kernels_avx512, NULL, NULL, MATMUL_NATIVE},
    {"avx2", runs_avx2, &kernels_avx2, NULL, NULL, MATMUL_NATIVE},
#endif
    {"generic", runs_everywhere, &kernels_generic, NULL, NULL, MATMUL_OPENBLAS},
};

const struct isa *isa_next(const struct isa *after) {
  for (size_t i = after ? (size_t)(after - best_first) + 1 : 0; i < COUNT_OF(best_first); i++)
    if (best_first[i].runs())
      return &best_first[i];
  return NULL;
}

enum status isa_find(const struct isa **out, const char *name, struct error *err) {
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa))
    if (!name || strcmp(name, isa->name) == 0) {
      *out = isa;
      return STATUS_OK;
    }
  char names[80] = "";
  for (const struct isa *isa = isa_next(NULL); isa; isa = isa_next(isa))
    snprintf(names + strlen(names), sizeof names - strlen(names), "%s %s", names[0] ? "," : "", isa->name);
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "isa", "no kernels \"%.40s\" run on this processor, but:%s", name,
                   names);
}
