/* A look at a base model: a worker opens its files; its report or its complaint is kept (inspected.h). */
#ifndef SERVER_INSPECTING_H
#define SERVER_INSPECTING_H

#include "server/run.h"
#include "server/inspected.h"

extern const struct run_kind inspecting_kind;
/* Starts its worker, or it ends itself and the status says why. */
NODISCARD enum status inspecting_start(struct run *run, struct inspected *inspected, struct error *err);

#endif
