#include "worker/data/embeddings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/data/metrics.h"
#include "worker/tensor/dot.h"

enum { PLACES = 10 }; /* that recall, MRR and NDCG look at */

/* Row of text `text` of an example. */
static const float *row_of(const struct embeddings *e, size_t example, size_t text) {
  return e->rows + (example * corpus_texts(e->corpus) + text) * e->width;
}

double embeddings_cosine(const struct embeddings *e, size_t example, size_t text) {
  return dot(row_of(e, example, 0), row_of(e, example, text), e->width);
}

static void make_unit(struct embeddings *e) {
  for (size_t i = 0; i < e->examples * corpus_texts(e->corpus); i++) {
    float *row = e->rows + i * e->width;
    double length = sqrt(dot(row, row, e->width));
    for (size_t c = 0; c < e->width && length > 0; c++)
      row[c] = (float)((double)row[c] / length);
  }
}

/* --- cosines against scores ----------------------------------------------------------------------- */

static enum status score_cosines(struct embeddings_scores *out, const struct embeddings *e, struct error *err) {
  const float *targets = e->corpus->targets;
  float *cosines = calloc(e->examples, sizeof *cosines);
  if (!cosines)
    return error_no_memory(err, "the scores");
  for (size_t i = 0; i < e->examples; i++) {
    double cosine = embeddings_cosine(e, i, 1), d = cosine - (double)targets[i];
    cosines[i] = (float)cosine;
    out->loss += d * d / (double)e->examples;
  }
  out->pearson = metric_pearson(cosines, targets, e->examples);
  enum status status = metric_spearman(&out->spearman, cosines, targets, e->examples, err);
  free(cosines);
  return status;
}

/* --- the loss of positives and negatives ----------------------------------------------------------- */

struct ranking_loss {
  const struct embeddings *e;
  double *losses; /* of each example */
};

static void loss_of_example(void *payload, size_t example, int thread) {
  (void)thread;
  const struct ranking_loss *r = payload;
  const struct embeddings *e = r->e;
  size_t texts = corpus_texts(e->corpus), first = example / e->group * e->group;
  size_t end = first + e->group < e->examples ? first + e->group : e->examples;
  double sum = 0, own = e->scale * embeddings_cosine(e, example, 1);
  for (size_t text = 1; text < texts; text++)
    for (size_t i = first; i < end; i++) /* no exponent is above 2 scale: scale is bounded */
      sum += exp(e->scale * dot(row_of(e, example, 0), row_of(e, i, text), e->width) - own);
  r->losses[example] = log(sum);
}

static enum status score_loss(struct embeddings_scores *out, const struct embeddings *e, struct pool *pool,
                              struct error *err) {
  struct ranking_loss r = {e, calloc(e->examples, sizeof *r.losses)};
  size_t better = 0;
  if (!r.losses)
    return error_no_memory(err, "the scores");
  pool_run(pool, e->examples, loss_of_example, &r);
  for (size_t i = 0; i < e->examples; i++) {
    out->loss += r.losses[i] / (double)e->examples;
    better += corpus_texts(e->corpus) > 2 && embeddings_cosine(e, i, 1) > embeddings_cosine(e, i, 2);
  }
  out->triplets = (double)better / (double)e->examples;
  free(r.losses);
  return STATUS_OK;
}

/* --- the search ----------------------------------------------------------------------------------- */

/* A text by its tokens: those that are the same are one. */
struct text {
  const int32_t *ids;
  size_t length, sequence;
};

static int by_tokens(const void *a, const void *b) {
  const struct text *x = a, *y = b;
  if (x->length != y->length)
    return x->length < y->length ? -1 : 1;
  int order = memcmp(x->ids, y->ids, x->length * sizeof *x->ids);
  return order ? order : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

struct hit {
  uint32_t anchor, document;
};

static int by_anchor(const void *a, const void *b) {
  const struct hit *x = a, *y = b;
  if (x->anchor != y->anchor)
    return x->anchor < y->anchor ? -1 : 1;
  return (x->document > y->document) - (x->document < y->document);
}

struct search {
  const struct embeddings *e;
  uint32_t *same;      /* [sequences] the first sequence with these tokens */
  uint32_t *documents; /* [document_count] sequences */
  size_t document_count;
  struct hit *hits; /* [hit_count] what is to be found, sorted, each once */
  size_t hit_count;
  size_t *queries; /* [query_count + 1] the first hit of each */
  size_t query_count;
  double *found;  /* [query_count][4] accuracy, recall, MRR, NDCG */
  double *scores; /* [threads][document_count] */
};

/* same[] of the anchors, or of all other texts. */
static void find_same(struct search *s, struct text *texts, bool anchors) {
  const struct corpus *c = s->e->corpus;
  size_t each = corpus_texts(c), count = 0;
  for (size_t i = 0; i < s->e->examples * each; i++)
    if ((i % each == 0) == anchors)
      texts[count++] = (struct text){c->token_ids + c->cu_seqlens[i], c->cu_seqlens[i + 1] - c->cu_seqlens[i], i};
  qsort(texts, count, sizeof *texts, by_tokens);
  for (size_t i = 0; i < count; i++) {
    bool again = i && texts[i].length == texts[i - 1].length &&
                 memcmp(texts[i].ids, texts[i - 1].ids, texts[i].length * sizeof *texts[i].ids) == 0;
    s->same[texts[i].sequence] = again ? s->same[texts[i - 1].sequence] : (uint32_t)texts[i].sequence;
  }
}

static void list_hits(struct search *s) {
  size_t each = corpus_texts(s->e->corpus), count = s->e->examples, left = 0;
  for (size_t i = 0; i < count * each; i++)
    if (i % each && s->same[i] == i)
      s->documents[s->document_count++] = (uint32_t)i;
  for (size_t i = 0; i < count; i++)
    s->hits[i] = (struct hit){s->same[i * each], s->same[i * each + 1]};
  qsort(s->hits, count, sizeof *s->hits, by_anchor);
  for (size_t i = 0; i < count; i++)
    if (!left || by_anchor(&s->hits[left - 1], &s->hits[i]) != 0)
      s->hits[left++] = s->hits[i];
  s->hit_count = left;
  for (size_t i = 0; i < left; i++)
    if (i == 0 || s->hits[i].anchor != s->hits[i - 1].anchor)
      s->queries[s->query_count++] = i;
  s->queries[s->query_count] = left;
}

/* Of equal scores it is the last: where all are alike nothing was found. */
static size_t place_of(const struct search *s, const double *scores, uint32_t document) {
  size_t place = 0, own = 0;
  while (s->documents[own] != document)
    own++;
  for (size_t d = 0; d < s->document_count; d++)
    place += d != own && scores[d] >= scores[own];
  return place;
}

static void search_one(void *payload, size_t query, int thread) {
  const struct search *s = payload;
  const struct embeddings *e = s->e;
  const struct hit *hits = s->hits + s->queries[query];
  size_t count = s->queries[query + 1] - s->queries[query], first = SIZE_MAX, within = 0;
  double *scores = s->scores + (size_t)thread * s->document_count, *found = s->found + 4 * query, gain = 0, best = 0;
  for (size_t d = 0; d < s->document_count; d++)
    scores[d] = dot(e->rows + hits[0].anchor * e->width, e->rows + s->documents[d] * e->width, e->width);
  for (size_t i = 0; i < count; i++) {
    size_t place = place_of(s, scores, hits[i].document);
    first = place < first ? place : first;
    within += place < PLACES;
    gain += place < PLACES ? 1 / log2((double)place + 2) : 0;
  }
  for (size_t i = 0; i < count && i < PLACES; i++)
    best += 1 / log2((double)i + 2);
  found[0] = first == 0;
  found[1] = (double)within / (double)count;
  found[2] = first < PLACES ? 1 / (double)(first + 1) : 0;
  found[3] = gain / best;
}

static void run_search(struct embeddings_scores *out, struct search *s, struct pool *pool) {
  double *means[] = {&out->accuracy_1, &out->recall_10, &out->mrr_10, &out->ndcg_10};
  pool_run(pool, s->query_count, search_one, s);
  for (size_t q = 0; q < s->query_count; q++)
    for (size_t m = 0; m < COUNT_OF(means); m++)
      *means[m] += s->found[4 * q + m] / (double)s->query_count;
}

static enum status score_search(struct embeddings_scores *out, const struct embeddings *e, struct pool *pool,
                                struct error *err) {
  size_t sequences = e->examples * corpus_texts(e->corpus);
  struct search s = {.e = e};
  struct text *texts = calloc(sequences, sizeof *texts);
  s.same = calloc(sequences, sizeof *s.same);
  s.documents = calloc(sequences, sizeof *s.documents);
  s.hits = calloc(e->examples, sizeof *s.hits);
  s.queries = calloc(e->examples + 1, sizeof *s.queries);
  s.found = calloc(e->examples, 4 * sizeof *s.found);
  s.scores = calloc(sequences, (size_t)pool_threads(pool) * sizeof *s.scores);
  bool ok = texts && s.same && s.documents && s.hits && s.queries && s.found && s.scores;
  if (ok) {
    find_same(&s, texts, true);
    find_same(&s, texts, false);
    list_hits(&s);
    run_search(out, &s, pool);
  }
  free(texts);
  free(s.same);
  free(s.documents);
  free(s.hits);
  free(s.queries);
  free(s.found);
  free(s.scores);
  return ok ? STATUS_OK : error_no_memory(err, "the scores");
}

enum status embeddings_score(struct embeddings_scores *out, struct embeddings *e, struct pool *pool,
                             struct error *err) {
  *out = (struct embeddings_scores){0};
  make_unit(e);
  if (e->corpus->targets)
    return score_cosines(out, e, err);
  enum status status = score_loss(out, e, pool, err);
  return status ? status : score_search(out, e, pool, err);
}
