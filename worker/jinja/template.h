/* Jinja templates as far as chat templates use the language: parsed once, then run with variables. Sandboxed: a run has
   a budget of steps and memory, and touches nothing but its variables. */
#ifndef WORKER_JINJA_TEMPLATE_H
#define WORKER_JINJA_TEMPLATE_H

#include "worker/jinja/run.h"
#include "worker/jinja/syntax.h"

/* Read-only once parsed. */
struct jinja_template {
  struct arena arena; /* of source and tree */
  struct jinja_source source;
  struct jinja_tree tree;
};

/* STATUS_INVALID_VALUE for what is not Jinja, STATUS_UNSUPPORTED_VALUE for what is not supported, both naming the
   place. On a fault there is nothing to release. */
NODISCARD enum status jinja_template_parse(struct jinja_template *out, const char *source, size_t length,
                                           struct error *err);
void jinja_template_done(struct jinja_template *t);

/* Begins a run of the template; the scope that comes back is for the caller's variables. NULL when memory runs out:
   run->status says so. Release with jinja_run_done, whatever comes back. *run must stay where it is. */
struct jinja_scope *jinja_run_init(struct jinja_run *run, const struct jinja_template *t, struct error *err);
void jinja_run_done(struct jinja_run *run);
/* The text, in the run's memory, and run->spans. False: run->status and the error say why. */
bool jinja_template_render(struct jinja_run *run, struct jinja_string *out, const struct jinja_template *t);

#endif
