/* Progress lines. */
#include "cli/progress.h"

#include <math.h>
#include <string.h>

#include "cli/text.h"

enum { BAR_MIN = 8, BAR_MAX = 30, LINE_BYTES_MAX = 400, PIECE_MAX = 10 };

/* A line under construction: pieces separated by two spaces, in the order of their importance. */
struct line {
  struct str piece[PIECE_MAX];
  size_t count;
};

static struct str *line_piece(struct line *line) {
  CHECK(line->count < PIECE_MAX);
  struct str *piece = &line->piece[line->count++];
  str_init(piece, LINE_BYTES_MAX);
  return piece;
}

static void draw_bar(struct str *out, double share, size_t cells) {
  size_t full = (size_t)(share * (double)cells);
  str_putc(out, '[');
  for (size_t i = 0; i < cells; i++)
    str_putc(out, i < full ? '=' : i == full ? '>' : ' ');
  str_putc(out, ']');
}

/* Writes the pieces that fit into `columns` (0: all), after a bar when `share` is not negative, and
   frees them. */
static void line_end(struct line *line, struct str *out, double share, size_t columns) {
  size_t width = 0, fits = 0;
  for (; fits < line->count; fits++) {
    size_t with = width + line->piece[fits].length + (fits > 0 ? 2 : 0);
    if (columns > 0 && with > columns)
      break;
    width = with;
  }
  /* The bar takes what is left beside its brackets and two spaces. */
  if (columns > 0 && share >= 0 && columns >= width + BAR_MIN + 4) {
    size_t cells = columns - width - 4;
    draw_bar(out, fmin(share, 1), cells > BAR_MAX ? BAR_MAX : cells);
    str_puts(out, "  ");
  }
  for (size_t i = 0; i < fits; i++) {
    str_puts(out, i > 0 ? "  " : "");
    str_puts(out, line->piece[i].text);
  }
  for (size_t i = 0; i < line->count; i++)
    str_done(&line->piece[i]);
}

static int64_t read_count(const json_t *object, const char *key) {
  json_int_t value = json_integer_value(json_object_get(object, key));
  return value > 0 ? value : 0;
}

static double read_number(const json_t *object, const char *key, double unknown) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : unknown;
}

void progress_read(struct job_progress *out, const json_t *job) {
  const json_t *progress = json_object_get(job, "progress");
  *out = (struct job_progress){
    .status = text_member(job, "status", "unknown"),
    .pausing = json_is_true(json_object_get(job, "pausing")),
    .phase = text_member(progress, "phase", NULL),
    .step = read_count(progress, "step"),
    .total_steps = read_count(progress, "total_steps"),
    .loss = read_number(progress, "train_loss", NAN),
    .learning_rate = read_number(progress, "learning_rate", -1),
    .token_accuracy = read_number(progress, "train_mean_token_accuracy", NAN),
    .tokens_per_second = read_number(progress, "tokens_per_second", 0),
    .seconds_remaining = read_number(progress, "seconds_remaining", -1),
    .waiting_for = text_member(job, "waiting_for", NULL),
    .jobs_ahead = read_count(json_object_get(job, "scheduling"), "queue_position"),
  };
}

static void waiting_line(struct line *line, const struct job_progress *progress) {
  struct str *piece = line_piece(line);
  text_clean(piece, progress->pausing ? "pausing" : progress->status);
  if (strcmp(progress->status, "paused") == 0 && progress->total_steps > 0)
    str_printf(line_piece(line), "step %lld/%lld", (long long)progress->step, (long long)progress->total_steps);
  if (progress->waiting_for && strcmp(progress->waiting_for, "slot") != 0) {
    piece = line_piece(line);
    str_puts(piece, "waits for ");
    text_clean(piece, progress->waiting_for);
  }
  if (progress->jobs_ahead > 0)
    str_printf(line_piece(line), "%lld ahead in the queue", (long long)progress->jobs_ahead);
}

void progress_job(struct str *out, const struct job_progress *progress, size_t columns) {
  struct line line = {.count = 0};
  bool running = strcmp(progress->status, "running") == 0;
  double share = -1;
  if (!running || !progress->phase) {
    waiting_line(&line, progress);
  } else {
    if (progress->total_steps > 0) {
      share = (double)progress->step / (double)progress->total_steps;
      str_printf(line_piece(&line), "%3.0f%%", floor(fmin(share, 1) * 100));
    }
    if (progress->pausing)
      str_puts(line_piece(&line), "pausing");
    if (strcmp(progress->phase, "train") != 0)
      text_clean(line_piece(&line), progress->phase);
    if (progress->total_steps > 0)
      str_printf(line_piece(&line), "step %lld/%lld", (long long)progress->step, (long long)progress->total_steps);
    if (isfinite(progress->loss))
      str_printf(line_piece(&line), "loss %.4f", progress->loss);
    if (progress->seconds_remaining >= 0) {
      struct str *piece = line_piece(&line);
      text_duration(piece, progress->seconds_remaining);
      str_puts(piece, " left");
    }
    if (progress->tokens_per_second > 0 && progress->tokens_per_second < 1e15) {
      struct str *piece = line_piece(&line);
      text_count(piece, (uint64_t)llround(progress->tokens_per_second));
      str_puts(piece, " tok/s");
    }
    if (progress->learning_rate >= 0)
      str_printf(line_piece(&line), "lr %.3g", progress->learning_rate);
    if (progress->token_accuracy >= 0 && progress->token_accuracy <= 1)
      str_printf(line_piece(&line), "accuracy %.3f", progress->token_accuracy);
    if (line.count == 0)
      waiting_line(&line, progress);
  }
  line_end(&line, out, share, columns);
}

void progress_bytes(struct str *out, uint64_t done, uint64_t total, double seconds, size_t columns) {
  struct line line = {.count = 0};
  double share = total > 0 ? (double)done / (double)total : -1;
  if (total > 0)
    str_printf(line_piece(&line), "%3.0f%%", floor(fmin(share, 1) * 100));
  struct str *amount = line_piece(&line);
  text_bytes(amount, done);
  if (total > 0) {
    str_puts(amount, " of ");
    text_bytes(amount, total);
  }
  if (seconds > 0.5) {
    struct str *speed = line_piece(&line);
    text_bytes(speed, (uint64_t)((double)done / seconds));
    str_puts(speed, "/s");
  }
  line_end(&line, out, share, columns);
}
