/* Filled marks on the left of a method's place are the best on validation, hollow ones on the right the last. */
#include "cli/bench_figure.h"

#include <math.h>
#include <string.h>

#include "cli/svg.h"
#include "cli/text.h"

static const double margin_left = 64, margin_right = 24, margin_top = 56, panel_height = 220, panel_gap = 96,
                    method_width = 112, aside = 16;
static const char ink[] = "#222222", faint[] = "#dddddd", soft[] = "#666666", best_colour[] = "#1f5fa8",
                  last_colour[] = "#c05a1c";

/* A task's cells, side by side in order, and its axis. */
struct panel {
  const struct bench_cell *cells; /* of all tasks */
  size_t cell_count;
  const char *task;
  struct svg_ticks ticks;
  double top, width;
};

static bool in_panel(const struct panel *p, size_t i) {
  return strcmp(p->cells[i].first->task, p->task) == 0;
}

static double y_of(const struct panel *p, double value) {
  double share = (value - p->ticks.first) / (p->ticks.step * (p->ticks.count - 1));
  return p->top + panel_height * (1 - share);
}

static void widen(double *low, double *high, double value) {
  if (!isfinite(value))
    return;
  *low = fmin(*low, value);
  *high = fmax(*high, value);
}

static void widen_by_mean(double *low, double *high, const struct bench_mean *m) {
  double by = isnan(m->deviation) ? 0 : m->deviation;
  widen(low, high, m->mean - by);
  widen(low, high, m->mean + by);
}

/* The axis holds every run and every bar. */
static bool find_ticks(struct panel *p, const struct bench_result *results, size_t count) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < count; i++)
    if (results[i].measured && strcmp(results[i].task, p->task) == 0) {
      widen(&low, &high, results[i].best);
      widen(&low, &high, results[i].last);
    }
  for (size_t i = 0; i < p->cell_count; i++)
    if (in_panel(p, i)) {
      widen_by_mean(&low, &high, &p->cells[i].best);
      widen_by_mean(&low, &high, &p->cells[i].last);
    }
  if (!(low <= high))
    return false;
  p->ticks = svg_ticks(low, high, 5);
  return true;
}

static void draw_axis(struct str *out, const struct panel *p) {
  for (int i = 0; i < p->ticks.count; i++) {
    double value = p->ticks.first + p->ticks.step * i, y = y_of(p, value);
    char text[32];
    snprintf(text, sizeof text, "%.*f", p->ticks.digits, value);
    svg_line(out, margin_left, y, p->width - margin_right, y, faint, 1);
    svg_text(out, margin_left - 8, y + 4, SVG_END, 12, soft, text);
  }
  svg_line(out, margin_left, p->top, margin_left, p->top + panel_height, ink, 1);
  svg_line(out, margin_left, p->top + panel_height, p->width - margin_right, p->top + panel_height, ink, 1);
}

/* The mean with its deviation as a bar. */
static void draw_mean(struct str *out, const struct panel *p, double x, const struct bench_mean *m, const char *colour,
                      bool filled) {
  if (m->count == 0)
    return;
  if (!isnan(m->deviation)) {
    double above = y_of(p, m->mean + m->deviation), below = y_of(p, m->mean - m->deviation);
    svg_line(out, x, above, x, below, colour, 1.5);
    svg_line(out, x - 5, above, x + 5, above, colour, 1.5);
    svg_line(out, x - 5, below, x + 5, below, colour, 1.5);
  }
  svg_circle(out, x, y_of(p, m->mean), 5, filled ? colour : "#ffffff", colour, 1);
}

static void draw_method(struct str *out, const struct panel *p, const struct bench_cell *cell, double x,
                        const struct bench_result *results, size_t count) {
  double base = p->top + panel_height;
  AUTO(str_done) struct str size;
  str_init(&size, 200);
  for (size_t i = 0; i < count; i++)
    if (results[i].measured && strcmp(results[i].task, p->task) == 0 &&
        strcmp(results[i].method, cell->first->method) == 0) {
      svg_circle(out, x - aside - 10, y_of(p, results[i].best), 2.5, best_colour, "none", 0.45);
      svg_circle(out, x + aside + 10, y_of(p, results[i].last), 2.5, last_colour, "none", 0.45);
    }
  draw_mean(out, p, x - aside, &cell->best, best_colour, true);
  draw_mean(out, p, x + aside, &cell->last, last_colour, false);
  if (!cell->shown)
    svg_text(out, x, base - 8, SVG_MIDDLE, 11, soft, cell->failed ? "failed" : "no result");
  svg_text(out, x, base + 18, SVG_MIDDLE, 13, ink, cell->first->method);
  str_puts(&size, cell->first->size);
  svg_text(out, x, base + 33, SVG_MIDDLE, 11, soft, size.text);
  if (!cell->shown)
    return;
  str_clear(&size);
  text_count(&size, (uint64_t)cell->shown->parameters);
  svg_text(out, x, base + 47, SVG_MIDDLE, 11, soft, size.text);
}

static void draw_panel(struct str *out, struct panel *p, const struct bench_result *results, size_t count) {
  const char *metric = NULL;
  char title[200];
  bool axis = find_ticks(p, results, count);
  for (size_t i = 0; i < p->cell_count && !metric; i++)
    metric = in_panel(p, i) && p->cells[i].shown ? p->cells[i].shown->metric : NULL;
  snprintf(title, sizeof title, "%.80s%s%.80s", p->task, metric ? ": " : "", metric ? metric : "");
  svg_text(out, margin_left, p->top - 12, SVG_START, 15, ink, title);
  if (axis)
    draw_axis(out, p);
  else
    p->ticks = (struct svg_ticks){0, 1, 2, 0};
  double x = margin_left + method_width / 2;
  for (size_t i = 0; i < p->cell_count; i++)
    if (in_panel(p, i)) {
      draw_method(out, p, &p->cells[i], x, results, count);
      x += method_width;
    }
}

static void draw_legend(struct str *out) {
  svg_circle(out, margin_left + 6, 18, 5, best_colour, best_colour, 1);
  svg_text(out, margin_left + 18, 22, SVG_START, 12, ink, "best on validation");
  svg_circle(out, margin_left + 156, 18, 5, "#ffffff", last_colour, 1);
  svg_text(out, margin_left + 168, 22, SVG_START, 12, ink, "after the last step");
  svg_text(out, margin_left + 300, 22, SVG_START, 12, soft, "mean and standard deviation; dots: seeds");
}

/* Is it the first cell of its task? Each has a panel. */
static bool begins_task(const struct bench_cell *cells, size_t i) {
  for (size_t k = 0; k < i; k++)
    if (strcmp(cells[k].first->task, cells[i].first->task) == 0)
      return false;
  return true;
}

void bench_figure(struct str *out, const struct bench_cell *cells, size_t cell_count,
                  const struct bench_result *results, size_t count) {
  size_t panels = 0, most = 5; /* room for the legend */
  for (size_t i = 0; i < cell_count; i++) {
    size_t methods = 0;
    panels += begins_task(cells, i);
    for (size_t k = 0; k < cell_count; k++)
      methods += strcmp(cells[k].first->task, cells[i].first->task) == 0;
    most = methods > most ? methods : most;
  }
  double width = margin_left + margin_right + method_width * (double)most;
  svg_begin(out, width, margin_top + (panel_height + panel_gap) * (double)panels);
  draw_legend(out);
  struct panel panel = {.cells = cells, .cell_count = cell_count, .top = margin_top + 12, .width = width};
  for (size_t i = 0; i < cell_count; i++)
    if (begins_task(cells, i)) {
      panel.task = cells[i].first->task;
      draw_panel(out, &panel, results, count);
      panel.top += panel_height + panel_gap;
    }
  svg_end(out);
}
