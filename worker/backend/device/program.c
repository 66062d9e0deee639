#include "worker/backend/device/program.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
const char device_program[] =
#include "worker/backend/device/program.cl.inc"
    ;
