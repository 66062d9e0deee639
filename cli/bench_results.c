/* Statistics and tables of a comparison. */
#include "cli/bench_results.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/text.h"

/* --- cells ---------------------------------------------------------------------------------------- */

static bool same_cell(const struct bench_result *a, const struct bench_result *b) {
  return strcmp(a->task, b->task) == 0 && strcmp(a->method, b->method) == 0;
}

/* Mean and deviation of a member of the cell's measured runs. */
static struct bench_mean mean_of(const struct bench_result *first, const struct bench_result *end, size_t offset) {
  struct bench_mean out = {0, NAN, NAN};
  double sum = 0, squares = 0;
  for (const struct bench_result *r = first; r < end; r++)
    if (r->measured && same_cell(r, first)) {
      sum += *(const double *)((const char *)r + offset);
      out.count++;
    }
  if (out.count)
    out.mean = sum / (double)out.count;
  for (const struct bench_result *r = first; r < end; r++)
    if (r->measured && same_cell(r, first)) {
      double d = *(const double *)((const char *)r + offset) - out.mean;
      squares += d * d;
    }
  if (out.count > 1)
    out.deviation = sqrt(squares / (double)(out.count - 1));
  return out;
}

size_t bench_cells(struct bench_cell *cells, const struct bench_result *results, size_t count) {
  const struct bench_result *end = results + count;
  size_t used = 0;
  for (const struct bench_result *r = results; r < end; r++) {
    size_t i = 0;
    while (i < used && !same_cell(cells[i].first, r))
      i++;
    if (i == used)
      cells[used++] = (struct bench_cell){.first = r, .error = ""};
    struct bench_cell *cell = &cells[i];
    cell->runs++;
    cell->failed += r->error[0] != '\0';
    if (r->error[0] && !cell->error[0])
      cell->error = r->error;
    if (r->measured && !cell->shown)
      cell->shown = r;
  }
  for (size_t i = 0; i < used; i++) {
    cells[i].best = mean_of(cells[i].first, end, offsetof(struct bench_result, best));
    cells[i].last = mean_of(cells[i].first, end, offsetof(struct bench_result, last));
    cells[i].seconds = mean_of(cells[i].first, end, offsetof(struct bench_result, seconds));
  }
  return used;
}

/* --- Markdown ------------------------------------------------------------------------------------- */

/* Text that a cell of a Markdown table can hold. */
static void put_markdown(struct str *out, const char *text) {
  AUTO(str_done) struct str clean;
  str_init(&clean, 4096);
  text_clean(&clean, text);
  for (const char *p = clean.text; *p; p++) {
    if (strchr("|<>*_`\\", *p))
      str_putc(out, '\\');
    str_putc(out, *p);
  }
}

static void put_mean(struct str *out, const struct bench_mean *mean, int digits) {
  if (mean->count == 0)
    str_puts(out, "–");
  else if (isnan(mean->deviation))
    str_printf(out, "%.*f", digits, mean->mean);
  else
    str_printf(out, "%.*f ± %.*f", digits, mean->mean, digits, mean->deviation);
}

void bench_markdown(struct str *out, const struct bench_cell *cells, size_t count) {
  str_puts(out,
           "| task | method | size | trainable | runs | metric | best on validation | after the last step | seconds |"
           " failures |\n|---|---|---|---:|---:|---|---:|---:|---:|---|\n");
  for (size_t i = 0; i < count; i++) {
    const struct bench_cell *c = &cells[i];
    const char *texts[] = {c->first->task, c->first->method, c->first->size};
    for (size_t k = 0; k < COUNT_OF(texts); k++) {
      str_puts(out, "| ");
      put_markdown(out, texts[k]);
      str_putc(out, ' ');
    }
    str_puts(out, "| ");
    if (c->shown)
      text_count(out, (uint64_t)c->shown->parameters);
    else
      str_puts(out, "–");
    str_printf(out, " | %zu of %zu | ", c->best.count, c->runs);
    put_markdown(out, c->shown ? c->shown->metric : "–");
    str_puts(out, " | ");
    put_mean(out, &c->best, 4);
    str_puts(out, " | ");
    put_mean(out, &c->last, 4);
    str_puts(out, " | ");
    put_mean(out, &c->seconds, 1);
    str_puts(out, " | ");
    if (c->failed)
      str_printf(out, "%zu: ", c->failed);
    put_markdown(out, c->error);
    str_puts(out, c->failed ? " |\n" : "|\n");
  }
}

/* --- CSV ------------------------------------------------------------------------------------------ */

static void put_fields(struct str *out, const char *const *texts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    str_puts(out, i ? "," : "");
    str_csv(out, texts[i]);
  }
}

/* An empty field where there is no number. */
static void put_number(struct str *out, double number) {
  str_putc(out, ',');
  if (isfinite(number))
    str_printf(out, "%.9g", number);
}

static void put_count(struct str *out, bool there, int64_t count) {
  str_putc(out, ',');
  if (there)
    str_printf(out, "%" PRId64, count);
}

void bench_csv(struct str *out, const struct bench_cell *cells, size_t count) {
  str_puts(out,
           "task,method,size,metric,trainable_parameters,runs,succeeded,failed,best_mean,best_sd,last_mean,last_sd,"
           "seconds_mean,seconds_sd,error\r\n");
  for (size_t i = 0; i < count; i++) {
    const struct bench_cell *c = &cells[i];
    const char *const texts[] = {c->first->task, c->first->method, c->first->size, c->shown ? c->shown->metric : ""};
    const struct bench_mean *const means[] = {&c->best, &c->last, &c->seconds};
    put_fields(out, texts, COUNT_OF(texts));
    put_count(out, c->shown != NULL, c->shown ? c->shown->parameters : 0);
    str_printf(out, ",%zu,%zu,%zu", c->runs, c->best.count, c->failed);
    for (size_t k = 0; k < COUNT_OF(means); k++) {
      put_number(out, means[k]->mean);
      put_number(out, means[k]->deviation);
    }
    str_putc(out, ',');
    str_csv(out, c->error);
    str_puts(out, "\r\n");
  }
}

void bench_runs_csv(struct str *out, const struct bench_result *results, size_t count) {
  str_puts(out, "task,method,size,seed,job,status,metric,best,best_step,last,last_step,trainable_parameters,seconds,"
                "error\r\n");
  for (size_t i = 0; i < count; i++) {
    const struct bench_result *r = &results[i];
    const char *const texts[] = {r->task, r->method, r->size};
    const char *const state[] = {r->job ? r->job : "", r->status, r->measured ? r->metric : ""};
    put_fields(out, texts, COUNT_OF(texts));
    str_printf(out, ",%" PRId64 ",", r->seed);
    put_fields(out, state, COUNT_OF(state));
    put_number(out, r->measured ? r->best : (double)NAN);
    put_count(out, r->measured, r->best_step);
    put_number(out, r->measured ? r->last : (double)NAN);
    put_count(out, r->measured, r->last_step);
    put_count(out, r->measured, r->parameters);
    put_number(out, r->measured ? r->seconds : (double)NAN);
    str_putc(out, ',');
    str_csv(out, r->error);
    str_puts(out, "\r\n");
  }
}
