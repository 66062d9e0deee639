#include "worker/data/label_warnings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "worker/text/normal_form.h"
#include "worker/text/unicode.h"

enum { DOUBTS_MAX = 40, ALIKE_MAX = 5, MANY_CLASSES = 20, FOLDED_MAX = 1 << 14 };

void label_warning(json_t *list, const char *format, ...) {
  char text[600];
  va_list args;
  if (json_array_size(list) >= DOUBTS_MAX)
    return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (utf8_valid(text, strlen(text), NULL))
    json_array_append_new(list, json_string(text));
}

const char *label_warning_more(char out[64], const struct location_count *of) {
  out[0] = '\0';
  if (of->count > 1)
    snprintf(out, 64, " (and so are %zu more)", of->count - 1);
  return out;
}

/* --- a few words among numbers -------------------------------------------------------------------- */

static const char *first_word(const struct labels *labels) {
  struct location first = labels->of_form[LABEL_WORD].first;
  for (size_t i = 0; i < labels->count; i++)
    if (labels->items[i].place.line == first.line && labels->items[i].place.column == first.column)
      return labels->items[i].name;
  return "a word";
}

/* One word makes names of all numbers: in a table nothing else says which was meant. */
static void warn_of_words(json_t *list, const struct labels *labels, const char *name) {
  const struct location_count *words = &labels->of_form[LABEL_WORD];
  size_t numbers = labels->of_form[LABEL_WHOLE].count + labels->of_form[LABEL_FRACTION].count;
  if (labels->bare.count || words->count == 0 || numbers < 4 || words->count > numbers / 4)
    return;
  char more[64];
  label_warning(list,
                "line %zu, column %zu: %.60s is \"%.60s\"%s, but %zu others are numbers: with it, they are names "
                "of classes",
                words->first.line, words->first.column, name, first_word(labels), label_warning_more(more, words),
                numbers);
}

/* --- numbers that became classes ------------------------------------------------------------------ */

static void warn_of_numbers(json_t *list, const struct labels *labels, const char *name) {
  bool words = labels->of_form[LABEL_WORD].count > 0, fractions = labels->of_form[LABEL_FRACTION].count > 0;
  if (labels->kind != LABEL_CLASS || words || labels->class_count < 2)
    return;
  if (!labels->by_value && fractions)
    label_warning(list,
                  "each %.60s is a number in quotes: they are names of %zu classes; dataset.problem_type "
                  "\"regression\" learns them as numbers",
                  name, labels->class_count);
  else if (labels->by_value && !fractions && labels->decimals.count)
    label_warning(list,
                  "line %zu, column %zu: %.60s is written as a fraction, but all are whole: they are %zu classes; "
                  "dataset.problem_type \"regression\" learns them as numbers",
                  labels->decimals.first.line, labels->decimals.first.column, name, labels->class_count);
  else if (labels->by_value && labels->class_count > MANY_CLASSES && !labels->numbered)
    label_warning(list,
                  "%.60s is one of %zu different numbers: each is a class of its own; dataset.problem_type "
                  "\"regression\" learns them as numbers",
                  name, labels->class_count);
}

/* --- names that look alike ------------------------------------------------------------------------ */

struct folded {
  char *text; /* in one case, in normal form KC, without blanks at its ends or twice within */
  const struct label_item *item;
};

static char *fold(struct normalized_string *in, struct normalized_string *out, struct mark_run runs[2],
                  const char *name) {
  uint32_t lower[UNICODE_LOWER_MAX];
  char bytes[UTF8_MAX];
  struct str folded;
  bool blank = false;
  str_init(&folded, FOLDED_MAX);
  normalized_clear(in);
  normalized_clear(out);
  normalized_add_raw(in, name, strlen(name), 0);
  normal_form(out, runs, in, true, true);
  for (size_t i = 0, n; !out->failed && i < out->length; i += n) {
    uint32_t c = utf8_decode(out->bytes + i, &n);
    if (unicode_is_space(c) || unicode_is_removed(c)) {
      blank = blank || unicode_is_space(c);
      continue;
    }
    if (blank && folded.length)
      str_putc(&folded, ' ');
    blank = false;
    size_t count = unicode_lower(lower, c);
    for (size_t k = 0; k < count; k++)
      str_add(&folded, bytes, utf8_encode(bytes, lower[k]));
  }
  char *text = out->failed ? NULL : str_take(&folded, &(size_t){0});
  str_done(&folded);
  return text;
}

static int by_text(const void *a, const void *b) {
  const struct folded *x = a, *y = b;
  int order = strcmp(x->text, y->text);
  return order ? order : (x->item->index > y->item->index) - (x->item->index < y->item->index);
}

static void tell_alike(json_t *list, const struct folded *folded, size_t count, const char *name) {
  for (size_t i = 1, reported = 0; i < count; i++) {
    const struct label_item *a = folded[i - 1].item, *b = folded[i].item;
    if (strcmp(folded[i - 1].text, folded[i].text) != 0)
      continue;
    if (reported++ == ALIKE_MAX)
      return;
    label_warning(list,
                  "line %zu, column %zu: %.60s is \"%.60s\", on line %zu \"%.60s\": two classes that differ in "
                  "case, blanks or Unicode form alone",
                  b->place.line, b->place.column, name, b->name, a->place.line, a->name);
  }
}

static void warn_of_names(json_t *list, const struct labels *labels, const char *name) {
  struct normalized_string in = {0}, out = {0};
  struct mark_run runs[2] = {0};
  size_t count = 0;
  if (labels->kind != LABEL_CLASS || labels->by_value || labels->class_count < 2)
    return;
  struct folded *folded = calloc(labels->class_count, sizeof *folded);
  for (size_t i = 0; folded && i < labels->class_count; i++) {
    folded[count] = (struct folded){fold(&in, &out, runs, labels->items[i].name), &labels->items[i]};
    count += folded[count].text != NULL;
  }
  if (count)
    qsort(folded, count, sizeof *folded, by_text);
  tell_alike(list, folded, count, name);
  for (size_t i = 0; i < count; i++)
    free(folded[i].text);
  free(folded);
  normalized_done(&in);
  normalized_done(&out);
  free(runs[0].marks);
  free(runs[1].marks);
}

void label_warnings_report(json_t *list, const struct labels *labels, const char *name) {
  warn_of_words(list, labels, name);
  warn_of_numbers(list, labels, name);
  warn_of_names(list, labels, name);
}
