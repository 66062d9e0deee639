/* Ops on images and their feature maps. */
#include "worker/op/attributes.h"

/* --- inputs --------------------------------------------------------------------------------------- */

struct input {
  const float *numbers;
};

static void input_forward(struct tape *tape, const struct node *node) {
  const struct input *input = node->attributes;
  const struct tensor *x = node->out[0];
  tape->backend->ops->write(tape->backend, x->data, input->numbers, x->rows * x->cols * sizeof(float));
}

static const struct op_body input_body = {.forward = input_forward};
static const struct op op_row_input = {.name = "input", .body = &input_body};

struct tensor *op_input(struct tape *tape, const float *numbers, size_t rows, size_t cols) {
  struct input *input = tape_attributes(tape, sizeof *input);
  input->numbers = numbers;
  struct tensor *in[NODE_INPUTS] = {0}, *out[NODE_OUTPUTS] = {tape_tensor(tape, rows, cols)};
  tape_record(tape, &op_row_input, input, in, out);
  return out[0];
}

/* --- convolutions --------------------------------------------------------------------------------- */

size_t op_convolution_size(const struct convolution *c, size_t size, int axis) {
  size_t padded = size + c->before[axis] + c->after[axis];
  return padded < c->kernel[axis] ? 0 : (padded - c->kernel[axis]) / c->stride[axis] + 1;
}

/* The input is saved for the adapter's gradient only, and so is Q. */
static const struct op op_plain = {.name = "conv2d", .kind = OP_CONV2D};
static const struct op op_adapted = {
    .name = "conv2d+adapter", .kind = OP_CONV2D, .saves_inputs = 1 << 0, .saves_outputs = 1 << 1};
static const struct op op_trained = {.name = "conv2d+weight", .kind = OP_CONV2D, .saves_inputs = 1 << 0};

struct tensor *op_conv2d(struct tape *tape, struct tensor *x, struct images *images, const struct linear *l) {
  const struct convolution *c = l->convolution;
  const struct low_rank *low = l->low_rank;
  CHECK(c && x->cols == c->channels && x->rows == images_rows(images));
  CHECK(!l->rotation && !l->scale && !(low && l->trained_weight));
  CHECK(l->in == c->channels * c->kernel[0] * c->kernel[1]);
  struct images to = {images->count, op_convolution_size(c, images->height, 0),
                      op_convolution_size(c, images->width, 1)};
  CHECK(images_rows(&to));
  struct conv2d_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct conv2d_attributes){.linear = l, .in = *images, .out = to};
  if (low && low->dropout > 0) {
    struct dropout own = op_next_dropout(tape, low->dropout);
    if (tape->training)
      a->dropout = own;
  }
  *images = to;
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, images_rows(&to), l->out)};
  if (low)
    out[1] = tape_tensor(tape, images_rows(&to), low->R);
  out[0]->needs_grad = low || l->trained_weight || l->trained_bias;
  tape_record(tape, low ? &op_adapted : l->trained_weight ? &op_trained : &op_plain, a, in, out);
  return out[0];
}

/* --- between convolutions ------------------------------------------------------------------------- */

static const struct op op_row_group_norm = {
    .name = "group_norm", .kind = OP_GROUP_NORM, .saves_inputs = 1 << 0, .saves_outputs = 1 << 1};

struct tensor *op_group_norm(struct tape *tape, struct tensor *x, const struct images *images, const struct norm *norm,
                             size_t groups, bool silu) {
  CHECK(x->rows == images_rows(images) && x->cols == norm->channels && x->cols % groups == 0);
  struct group_norm_attributes *a = tape_attributes(tape, sizeof *a);
  *a = (struct group_norm_attributes){norm, images->count, groups, silu};
  struct tensor *in[NODE_INPUTS] = {x};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols),
                                      tape_tensor(tape, 2, images->count * groups)};
  out[0]->needs_grad = norm->trained_bias != NULL;
  tape_record(tape, &op_row_group_norm, a, in, out);
  out[0]->recompute = true;
  return out[0];
}

static const struct op op_row_upsample = {.name = "upsample", .kind = OP_UPSAMPLE};

struct tensor *op_upsample(struct tape *tape, struct tensor *x, struct images *images) {
  CHECK(x->rows == images_rows(images));
  struct images *from = tape_attributes(tape, sizeof *from);
  *from = *images;
  *images = (struct images){from->count, 2 * from->height, 2 * from->width};
  struct tensor *in[NODE_INPUTS] = {x}, *out[NODE_OUTPUTS] = {tape_tensor(tape, images_rows(images), x->cols)};
  tape_record(tape, &op_row_upsample, from, in, out);
  return out[0];
}

static const struct op op_row_concat = {.name = "concat", .kind = OP_CONCAT};

struct tensor *op_concat(struct tape *tape, struct tensor *x, struct tensor *y) {
  CHECK(x->rows == y->rows);
  struct tensor *in[NODE_INPUTS] = {x, y}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols + y->cols)};
  tape_record(tape, &op_row_concat, NULL, in, out);
  return out[0];
}

static const struct op op_row_add_rows = {.name = "add_rows", .kind = OP_ADD_ROWS};

struct tensor *op_add_rows(struct tape *tape, struct tensor *x, struct tensor *rows) {
  CHECK(x->cols == rows->cols && x->rows % rows->rows == 0);
  struct tensor *in[NODE_INPUTS] = {x, rows}, *out[NODE_OUTPUTS] = {tape_tensor(tape, x->rows, x->cols)};
  tape_record(tape, &op_row_add_rows, NULL, in, out);
  return out[0];
}
