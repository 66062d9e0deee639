/* Ops of one pass over the elements, and what adapters that rotate put around a linear layer. */
#include "worker/backend/device/device_op.h"

static long elements(const struct tensor *t) {
  return (long)(t->rows * t->cols);
}

/* --- one input ------------------------------------------------------------------------------------ */

static void forward_of_one(struct tape *tape, const struct node *node, enum device_kernel kernel) {
  const struct elements_args args = {.count = elements(node->in[0])};
  device_launch_each(tape->backend, kernel, (size_t)args.count, PLACES(node->out[0]->data, node->in[0]->data), &args);
}

/* `saved`: the input or the output, as the kernel reads it. */
static void backward_of_one(struct tape *tape, const struct node *node, enum device_kernel kernel, struct place saved) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct elements_args args = {.count = elements(node->in[0]), .accumulate = add};
  if (dx.buffer)
    device_launch_each(tape->backend, kernel, (size_t)args.count, PLACES(dx, node->out[0]->grad, saved), &args);
}

static void gelu_forward(struct tape *tape, const struct node *node) {
  forward_of_one(tape, node, DEVICE_gelu_forward);
}

static void gelu_backward(struct tape *tape, const struct node *node) {
  backward_of_one(tape, node, DEVICE_gelu_backward, node->in[0]->data);
}

static void gelu_tanh_forward(struct tape *tape, const struct node *node) {
  forward_of_one(tape, node, DEVICE_gelu_tanh_forward);
}

static void gelu_tanh_backward(struct tape *tape, const struct node *node) {
  backward_of_one(tape, node, DEVICE_gelu_tanh_backward, node->in[0]->data);
}

static void relu_forward(struct tape *tape, const struct node *node) {
  forward_of_one(tape, node, DEVICE_relu_forward);
}

static void relu_backward(struct tape *tape, const struct node *node) {
  backward_of_one(tape, node, DEVICE_relu_backward, node->out[0]->data);
}

static void tanh_forward(struct tape *tape, const struct node *node) {
  forward_of_one(tape, node, DEVICE_tanh_forward);
}

static void tanh_backward(struct tape *tape, const struct node *node) {
  backward_of_one(tape, node, DEVICE_tanh_backward, node->out[0]->data);
}

static void drop(struct tape *tape, const struct node *node, struct place to, struct place from, bool add) {
  size_t N = node->in[0]->rows, C = node->in[0]->cols;
  const struct dropout_rows_args args = {device_dropout_args(node->attributes), (int)N, (int)C, add};
  device_launch_each(tape->backend, DEVICE_dropout_rows, N * device_groups(C, 64) * 8, PLACES(to, from), &args);
}

static void dropout_forward(struct tape *tape, const struct node *node) {
  drop(tape, node, node->out[0]->data, node->in[0]->data, false);
}

static void dropout_backward(struct tape *tape, const struct node *node) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  if (dx.buffer)
    drop(tape, node, dx, node->out[0]->grad, add);
}

/* --- two inputs ----------------------------------------------------------------------------------- */

static void add_forward(struct tape *tape, const struct node *node) {
  const struct elements_args args = {.count = elements(node->in[0])};
  device_launch_each(tape->backend, DEVICE_add_forward, (size_t)args.count,
                     PLACES(node->out[0]->data, node->in[0]->data, node->in[1]->data), &args);
}

static void add_backward(struct tape *tape, const struct node *node) {
  for (int i = 0; i < 2; i++) {
    bool add;
    struct place dx = tape_grad(node->in[i], &add);
    const struct elements_args args = {.count = elements(node->in[i]), .accumulate = add};
    if (dx.buffer)
      device_launch_each(tape->backend, DEVICE_add_to, (size_t)args.count, PLACES(dx, node->out[0]->grad), &args);
  }
}

static void gated_forward(struct tape *tape, const struct node *node, enum device_kernel kernel) {
  const struct elements_args args = {.count = elements(node->in[0])};
  device_launch_each(tape->backend, kernel, (size_t)args.count,
                     PLACES(node->out[0]->data, node->in[0]->data, node->in[1]->data), &args);
}

static void gated_backward(struct tape *tape, const struct node *node, enum device_kernel kernel) {
  bool add_gate, add_up;
  struct place dgate = tape_grad(node->in[0], &add_gate), dup = tape_grad(node->in[1], &add_up);
  const struct elements_args args = {elements(node->in[0]), add_gate, add_up};
  device_launch_each(tape->backend, kernel, (size_t)args.count,
                     PLACES(dgate, dup, node->out[0]->grad, node->in[0]->data, node->in[1]->data), &args);
}

static void swiglu_forward(struct tape *tape, const struct node *node) {
  gated_forward(tape, node, DEVICE_swiglu_forward);
}

static void swiglu_backward(struct tape *tape, const struct node *node) {
  gated_backward(tape, node, DEVICE_swiglu_backward);
}

static void geglu_tanh_forward(struct tape *tape, const struct node *node) {
  gated_forward(tape, node, DEVICE_geglu_tanh_forward);
}

static void geglu_tanh_backward(struct tape *tape, const struct node *node) {
  gated_backward(tape, node, DEVICE_geglu_tanh_backward);
}

/* --- times a number ------------------------------------------------------------------------------- */

static void multiply(struct tape *tape, const struct node *node, struct place to, struct place from, bool add) {
  const float *factor = node->attributes;
  tape->backend->ops->copy(tape->backend, &(struct strided_copy){.to = to,
                                                                 .from = from,
                                                                 .rows = node->in[0]->rows,
                                                                 .cols = node->in[0]->cols,
                                                                 .to_row = node->in[0]->cols,
                                                                 .to_col = 1,
                                                                 .from_row = node->in[0]->cols,
                                                                 .from_col = 1,
                                                                 .scale = *factor,
                                                                 .accumulate = add});
}

static void multiply_forward(struct tape *tape, const struct node *node) {
  multiply(tape, node, node->out[0]->data, node->in[0]->data, false);
}

static void multiply_backward(struct tape *tape, const struct node *node) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  if (dx.buffer)
    multiply(tape, node, dx, node->out[0]->grad, add);
}

const struct op_body device_gelu = {.forward = gelu_forward, .backward = gelu_backward};
const struct op_body device_gelu_tanh = {.forward = gelu_tanh_forward, .backward = gelu_tanh_backward};
const struct op_body device_relu = {.forward = relu_forward, .backward = relu_backward};
const struct op_body device_tanh = {.forward = tanh_forward, .backward = tanh_backward};
const struct op_body device_dropout = {.forward = dropout_forward, .backward = dropout_backward};
const struct op_body device_add = {.forward = add_forward, .backward = add_backward};
const struct op_body device_swiglu = {.forward = swiglu_forward, .backward = swiglu_backward};
const struct op_body device_geglu_tanh = {.forward = geglu_tanh_forward, .backward = geglu_tanh_backward};
const struct op_body device_multiply = {.forward = multiply_forward, .backward = multiply_backward};

/* --- parts of rows -------------------------------------------------------------------------------- */

static struct halves_args halves_args_of(const struct node *node, bool accumulate) {
  const struct geglu_attributes *a = node->attributes;
  int cols = (int)node->out[0]->cols;
  return (struct halves_args){elements(node->out[0]), cols, a->gate_last ? cols : 0, accumulate};
}

static void geglu_forward(struct tape *tape, const struct node *node) {
  const struct halves_args args = halves_args_of(node, false);
  device_launch_each(tape->backend, DEVICE_geglu_forward, (size_t)args.count,
                     PLACES(node->out[0]->data, node->in[0]->data), &args);
}

static void geglu_backward(struct tape *tape, const struct node *node) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct halves_args args = halves_args_of(node, add);
  if (dx.buffer)
    device_launch_each(tape->backend, DEVICE_geglu_backward, (size_t)args.count,
                       PLACES(dx, node->out[0]->grad, node->in[0]->data), &args);
}

static struct columns_args columns_args_of(const struct node *node, long count, bool accumulate) {
  const struct columns_attributes *a = node->attributes;
  return (struct columns_args){count, (int)node->in[0]->cols, (int)a->first, (int)node->out[0]->cols, accumulate};
}

static void columns_forward(struct tape *tape, const struct node *node) {
  const struct columns_args args = columns_args_of(node, elements(node->out[0]), false);
  device_launch_each(tape->backend, DEVICE_columns_forward, (size_t)args.count,
                     PLACES(node->out[0]->data, node->in[0]->data), &args);
}

static void columns_backward(struct tape *tape, const struct node *node) {
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  const struct columns_args args = columns_args_of(node, elements(node->in[0]), add);
  if (dx.buffer)
    device_launch_each(tape->backend, DEVICE_columns_backward, (size_t)args.count, PLACES(dx, node->out[0]->grad),
                       &args);
}

const struct op_body device_geglu = {.forward = geglu_forward, .backward = geglu_backward};
const struct op_body device_columns = {.forward = columns_forward, .backward = columns_backward};

/* --- rotation ------------------------------------------------------------------------------------- */

/* y (N x blocks * b) = [y +] each block of x times its b x b matrix of r. */
static void turn(struct backend *backend, const struct rotation *o, struct place y, struct place x, struct place r,
                 size_t N, bool accumulate) {
  size_t b = o->block, C = b * o->blocks;
  const struct weight one = device_floats(r, b, b);
  const struct matmul_args args = {.a_step = (long)b,
                                   .b_step = (long)(b * b),
                                   .c_step = (long)b,
                                   .dropout = device_dropout_args(NULL),
                                   .weight = device_weight_args(&one),
                                   .rows = (int)N,
                                   .cols = (int)b,
                                   .depth = (int)b,
                                   .a_row = (int)C,
                                   .a_col = 1,
                                   .c_row = (int)C,
                                   .c_col = 1,
                                   .alpha = 1,
                                   .accumulate = accumulate,
                                   .splits = 1};
  device_launch(backend, DEVICE_matmul, device_groups(b, 64), device_groups(N, 64), o->blocks,
                PLACES(y, x, r, NOWHERE, NOWHERE, NOWHERE), &args);
}

static size_t rotate_splits(const struct rotation *o, size_t N) {
  size_t tiles = device_groups(o->block, 64);
  return device_splits(N, tiles * tiles * o->blocks);
}

static size_t rotate_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  const struct rotation *o = node->attributes;
  return rotate_splits(o, node->in[0]->rows) * node->in[0]->cols * o->block;
}

static void rotate_forward(struct tape *tape, const struct node *node) {
  const struct rotation *o = node->attributes;
  turn(tape->backend, o, node->out[0]->data, node->in[0]->data, o->r, node->in[0]->rows, false);
}

/* dX_i = dZ_i R_i^T, grad_r_i += X_i^T dZ_i */
static void rotate_backward(struct tape *tape, const struct node *node) {
  const struct rotation *o = node->attributes;
  size_t N = node->in[0]->rows, C = node->in[0]->cols, b = o->block, splits = rotate_splits(o, N);
  struct place dz = node->out[0]->grad;
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  if (dx.buffer)
    turn(tape->backend, o, dx, dz, o->r_t, N, add);
  const struct weight of_dz = device_floats(dz, N, C);
  const struct matmul_args args = {.a_step = (long)b,
                                   .b_step = (long)b,
                                   .c_step = (long)(b * b),
                                   .split_step = (long)(C * b),
                                   .dropout = device_dropout_args(NULL),
                                   .weight = device_weight_args(&of_dz),
                                   .rows = (int)b,
                                   .cols = (int)b,
                                   .depth = (int)N,
                                   .a_row = 1,
                                   .a_col = (int)C,
                                   .c_row = (int)b,
                                   .c_col = 1,
                                   .alpha = 1,
                                   .splits = (int)splits};
  device_launch(tape->backend, DEVICE_matmul, device_groups(b, 64), device_groups(b, 64), o->blocks * splits,
                PLACES(tape->scratch, node->in[0]->data, dz, NOWHERE, NOWHERE, NOWHERE), &args);
  device_sum_splits(tape->backend, o->grad_r, tape->scratch, C * b, splits, true);
}

const struct op_body device_rotate = {
    .forward = rotate_forward, .backward = rotate_backward, .scratch = rotate_scratch};

/* --- scale ---------------------------------------------------------------------------------------- */

static void scale_columns(struct backend *backend, struct place y, struct place x, const struct linear *l,
                          struct place bias, size_t N, size_t C, bool accumulate) {
  const struct scale_args args = {(int)N, (int)C, accumulate};
  device_launch_each(backend, DEVICE_scale_columns, N * C, PLACES(y, x, l->scale->scale, bias), &args);
}

static void scale_forward(struct tape *tape, const struct node *node) {
  const struct linear *l = node->attributes;
  scale_columns(tape->backend, node->out[0]->data, node->in[0]->data, l, l->bias, node->in[0]->rows,
                node->in[0]->cols, false);
}

static void scale_backward(struct tape *tape, const struct node *node) {
  const struct linear *l = node->attributes;
  size_t N = node->in[0]->rows, C = node->in[0]->cols;
  struct place dy = node->out[0]->grad;
  bool add;
  struct place dx = tape_grad(node->in[0], &add);
  if (dx.buffer)
    scale_columns(tape->backend, dx, dy, l, NOWHERE, N, C, add);
  device_column_sums(tape->backend, l->scale->grad_scale, dy, node->in[0]->data, N, C, tape->scratch);
  if (l->trained_bias)
    device_column_sums(tape->backend, l->trained_bias->grad_at, dy, NOWHERE, N, C, tape->scratch);
}

static size_t scale_scratch(const struct tape *tape, const struct node *node) {
  (void)tape;
  return device_column_sums_floats(node->in[0]->rows, node->in[0]->cols);
}

const struct op_body device_scale = {.forward = scale_forward, .backward = scale_backward, .scratch = scale_scratch};
