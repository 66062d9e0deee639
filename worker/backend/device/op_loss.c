/* Losses: a kernel makes each row's, the host adds them in double. */
#include "worker/backend/device/device_op.h"

enum { READ_AT_ONCE = 1024 };

static double sum_losses(struct backend *backend, struct place losses, size_t count) {
  float part[READ_AT_ONCE];
  double sum = 0;
  for (size_t first = 0; first < count; first += READ_AT_ONCE) {
    size_t n = count - first < READ_AT_ONCE ? count - first : READ_AT_ONCE;
    device_read(backend, part, place_at(losses, first * sizeof *part), n * sizeof *part);
    for (size_t i = 0; i < n; i++)
      sum += (double)part[i];
  }
  return sum;
}

static size_t count_hits(struct backend *backend, struct place hits, size_t count) {
  int32_t part[READ_AT_ONCE];
  size_t sum = 0;
  for (size_t first = 0; first < count; first += READ_AT_ONCE) {
    size_t n = count - first < READ_AT_ONCE ? count - first : READ_AT_ONCE;
    device_read(backend, part, place_at(hits, first * sizeof *part), n * sizeof *part);
    for (size_t i = 0; i < n; i++)
      sum += part[i] != 0;
  }
  return sum;
}

static size_t loss_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return node->in[0]->rows;
}

/* --- classifiers and regressors ------------------------------------------------------------------- */

static void cross_entropy_forward(struct tape *tape, const struct node *node) {
  const struct loss_attributes *a = node->attributes;
  const struct tensor *x = node->in[0];
  const struct cross_entropy_args args = {.rows = (int)x->rows, .cols = (int)x->cols, .weight = a->weight};
  device_launch(tape->backend, DEVICE_cross_entropy, x->rows, 1, 1,
                PLACES(tape->scratch, NOWHERE, NOWHERE, x->data, a->targets), &args);
  *a->loss = sum_losses(tape->backend, tape->scratch, x->rows) * (double)a->weight;
}

static void cross_entropy_backward(struct tape *tape, const struct node *node) {
  const struct loss_attributes *a = node->attributes;
  const struct tensor *x = node->in[0];
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct cross_entropy_args args = {
      .rows = (int)x->rows, .cols = (int)x->cols, .weight = a->weight, .accumulate = add};
  if (dx.buffer)
    device_launch(tape->backend, DEVICE_cross_entropy, x->rows, 1, 1, PLACES(NOWHERE, NOWHERE, dx, x->data, a->targets),
                  &args);
}

const struct op_body device_cross_entropy = {
    .forward = cross_entropy_forward, .backward = cross_entropy_backward, .scratch = loss_scratch};

/* Losses of each element by itself. */
static void element_loss_forward(struct tape *tape, const struct node *node, enum device_kernel kernel) {
  const struct loss_attributes *a = node->attributes;
  const struct tensor *x = node->in[0];
  const struct element_loss_args args = {(int)(x->rows * x->cols), a->weight, 0};
  device_launch_each(tape->backend, kernel, x->rows * x->cols, PLACES(tape->scratch, NOWHERE, x->data, a->targets),
                     &args);
  *a->loss = sum_losses(tape->backend, tape->scratch, x->rows * x->cols) * (double)a->weight;
}

static void element_loss_backward(struct tape *tape, const struct node *node, enum device_kernel kernel) {
  const struct loss_attributes *a = node->attributes;
  const struct tensor *x = node->in[0];
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct element_loss_args args = {(int)(x->rows * x->cols), a->weight, add};
  if (dx.buffer)
    device_launch_each(tape->backend, kernel, x->rows * x->cols, PLACES(NOWHERE, dx, x->data, a->targets), &args);
}

static size_t element_loss_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return node->in[0]->rows * node->in[0]->cols;
}

static void squared_error_forward(struct tape *tape, const struct node *node) {
  element_loss_forward(tape, node, DEVICE_squared_error);
}

static void squared_error_backward(struct tape *tape, const struct node *node) {
  element_loss_backward(tape, node, DEVICE_squared_error);
}

const struct op_body device_squared_error = {
    .forward = squared_error_forward, .backward = squared_error_backward, .scratch = element_loss_scratch};

static void binary_cross_entropy_forward(struct tape *tape, const struct node *node) {
  element_loss_forward(tape, node, DEVICE_binary_cross_entropy);
}

static void binary_cross_entropy_backward(struct tape *tape, const struct node *node) {
  element_loss_backward(tape, node, DEVICE_binary_cross_entropy);
}

const struct op_body device_binary_cross_entropy = {.forward = binary_cross_entropy_forward,
                                                    .backward = binary_cross_entropy_backward,
                                                    .scratch = element_loss_scratch};

/* --- language models ------------------------------------------------------------------------------ */

enum { CHUNK = 256 }; /* rows whose logits exist at a time */

/* The rows of a head whose losses are asked for, and where to. */
struct head_rows {
  struct tensor *x;
  const struct linear *head;
  const struct next_tokens *tokens;
  float weight;                /* of the gradient */
  struct place losses, hits;   /* a number a row; hits may be nowhere */
  struct place gradient;       /* rows x C, or nowhere */
  struct place picked, logits; /* scratch: CHUNK rows of C and of V */
  struct place taken;          /* scratch: a number a row for each trained row of a tied head; else nowhere */
};

static size_t taken_count(const struct linear *head, const struct next_tokens *tokens) {
  return linear_token_rows(head) ? tokens->count * head->token_rows->count : 0;
}

/* The trained rows' gradient: each token's, times what it weighs. */
static void learn_rows(struct backend *b, const struct head_rows *r, struct place weights) {
  if (linear_token_rows(r->head))
    device_token_logits_learn(b, r->head->token_rows, r->taken, weights, r->x->data, r->tokens->rows, r->tokens->count);
}

/* The gradient of a chunk's rows is made at once, while their logits are there: the head's matmul never runs twice. */
static void run_chunk(struct backend *b, const struct head_rows *r, size_t first) {
  const struct next_tokens *t = r->tokens;
  size_t C = r->x->cols, V = r->head->out, at = first * sizeof(uint32_t);
  size_t rows = t->count - first < CHUNK ? t->count - first : CHUNK;
  const struct rows_args picked = {(int)rows, (int)C, 0};
  const struct cross_entropy_args softmax = {
      .rows = (int)rows, .cols = (int)V, .weight = r->weight, .softcap = r->head->softcap};
  bool gradient = r->gradient.buffer != NULL;
  device_launch_each(b, DEVICE_pick_rows, rows * C, PLACES(r->picked, r->x->data, place_at(t->rows, at)), &picked);
  const struct device_matmul forward = {.precision = b->precision,
                                        .c = r->logits,
                                        .a = r->picked,
                                        .rows = rows,
                                        .weight = &r->head->weight,
                                        .transposed = true,
                                        .alpha = 1};
  const struct token_rows *trained = linear_token_rows(r->head);
  struct place taken = trained ? place_at(r->taken, first * trained->count * sizeof(float)) : NOWHERE;
  device_matmul(b, &forward);
  if (trained)
    device_token_logits_put(b, r->logits, r->picked, rows, trained);
  device_launch(b, DEVICE_cross_entropy, rows, 1, 1,
                PLACES(place_at(r->losses, at), r->hits.buffer ? place_at(r->hits, at) : NOWHERE,
                       gradient ? r->logits : NOWHERE, r->logits, place_at(t->targets, at)),
                &softmax);
  if (!gradient)
    return;
  if (trained)
    device_token_logits_take(b, taken, r->logits, rows, trained);
  const struct device_matmul backward = {.precision = b->precision,
                                         .c = place_at(r->gradient, first * C * sizeof(float)),
                                         .a = r->logits,
                                         .rows = rows,
                                         .weight = &r->head->weight,
                                         .alpha = 1};
  device_matmul(b, &backward);
  if (trained)
    device_token_logits_back(b, backward.c, taken, rows, trained);
}

/* dx += the rows' gradient. */
static void add_gradient(struct tape *tape, const struct node *node, const struct next_tokens *tokens,
                         struct place gradient) {
  size_t C = node->in[0]->cols;
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct fill_args zeros = {(long)(node->in[0]->rows * C), 0};
  if (!add)
    device_launch_each(tape->backend, DEVICE_fill_with, node->in[0]->rows * C, &dx, &zeros);
  const struct rows_args args = {(int)tokens->count, (int)C, 0};
  device_launch_each(tape->backend, DEVICE_scatter_rows, tokens->count * C, PLACES(dx, gradient, tokens->rows), &args);
}

static size_t linear_cross_entropy_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct linear_cross_entropy_attributes *a = node->attributes;
  return device_part(CHUNK * node->in[0]->cols) + device_part(CHUNK * a->head->out) +
         2 * device_part(a->tokens->count) + device_part(taken_count(a->head, a->tokens));
}

static void linear_cross_entropy_forward(struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  struct place rest = tape->scratch;
  size_t count = a->tokens->count;
  struct head_rows r = {.x = node->in[0], .head = a->head, .tokens = a->tokens, .weight = a->weight};
  r.picked = device_take(&rest, CHUNK * r.x->cols);
  r.logits = device_take(&rest, CHUNK * a->head->out);
  r.losses = device_take(&rest, count);
  r.hits = device_take(&rest, count);
  r.taken = device_take(&rest, taken_count(a->head, a->tokens));
  if (node->out[0])
    r.gradient = node->out[0]->data;
  for (size_t first = 0; first < count; first += CHUNK)
    run_chunk(tape->backend, &r, first);
  if (node->out[0])
    learn_rows(tape->backend, &r, NOWHERE);
  *a->loss = sum_losses(tape->backend, r.losses, count) * (double)a->weight;
  if (a->correct)
    *a->correct = count_hits(tape->backend, r.hits, count);
}

static void linear_cross_entropy_backward(struct tape *tape, const struct node *node) {
  const struct linear_cross_entropy_attributes *a = node->attributes;
  add_gradient(tape, node, a->tokens, node->out[0]->data);
}

const struct op_body device_linear_cross_entropy = {.forward = linear_cross_entropy_forward,
                                                    .backward = linear_cross_entropy_backward,
                                                    .scratch = linear_cross_entropy_scratch};

static size_t linear_preference_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct linear_preference_attributes *a = node->attributes;
  return device_part(CHUNK * node->in[0]->cols) + device_part(CHUNK * a->head->out) +
         device_part(taken_count(a->head, a->tokens));
}

/* The host makes weights of the losses, and then the rows' gradients are multiplied by them. */
static void linear_preference_forward(struct tape *tape, const struct node *node) {
  const struct linear_preference_attributes *a = node->attributes;
  struct backend *b = tape->backend;
  struct place rest = tape->scratch;
  size_t count = a->tokens->count, C = node->in[0]->cols;
  struct head_rows r = {.x = node->in[0], .head = a->head, .tokens = a->tokens, .weight = 1};
  r.picked = device_take(&rest, CHUNK * C);
  r.logits = device_take(&rest, CHUNK * a->head->out);
  r.taken = device_take(&rest, taken_count(a->head, a->tokens));
  r.losses = node->out[0]->data;
  if (node->out[1])
    r.gradient = node->out[1]->data;
  for (size_t first = 0; first < count; first += CHUNK)
    run_chunk(b, &r, first);
  float *losses = arena_array(&tape->arena, count + 1, sizeof *losses);
  CHECK(losses);
  device_read(b, losses, r.losses, count * sizeof *losses);
  *a->loss = preference_weigh(a->scores, a->how, a->completions, losses);
  if (!node->out[1])
    return;
  device_write(b, r.losses, losses, count * sizeof *losses);
  learn_rows(b, &r, r.losses);
  const struct rows_args args = {(int)count, (int)C, 0};
  device_launch_each(b, DEVICE_scale_rows, count * C, PLACES(r.gradient, r.losses), &args);
}

static void linear_preference_backward(struct tape *tape, const struct node *node) {
  const struct linear_preference_attributes *a = node->attributes;
  add_gradient(tape, node, a->tokens, node->out[1]->data);
}

const struct op_body device_linear_preference = {
    .forward = linear_preference_forward, .backward = linear_preference_backward, .scratch = linear_preference_scratch};
