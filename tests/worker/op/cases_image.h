/* Cases of test_conformance.c: ops on images. */
#ifndef TESTS_WORKER_OP_CASES_IMAGE_H
#define TESTS_WORKER_OP_CASES_IMAGE_H

#include "tests/worker/op/trial.h"

enum { IMAGE_ROWS = 2 * 6 * 5, CHANNELS = 7, CONV_OUT = 19 };
static const struct images two_images = {2, 6, 5};

static void conv2d_of(struct trial *t, struct convolution convolution) {
  size_t in = convolution.channels * convolution.kernel[0] * convolution.kernel[1];
  t->convolution = convolution;
  t->linear = (struct linear){.name = "c", .in = in, .out = CONV_OUT, .convolution = &t->convolution};
  t->linear.bias = numbers(t, CONV_OUT, 5);
  t->linear.weight = weight(t, GGML_F32, CONV_OUT, in, 4);
}

static void make_conv2d(struct trial *t) {
  conv2d_of(t, (struct convolution){CHANNELS, {3, 3}, {1, 1}, {1, 1}, {1, 1}});
}

static void make_strided_conv2d(struct trial *t) {
  conv2d_of(t, (struct convolution){CHANNELS, {3, 2}, {2, 1}, {0, 1}, {1, 0}});
}

static void make_low_rank_conv2d(struct trial *t) {
  make_conv2d(t);
  size_t in = t->linear.in;
  t->low = (struct low_rank){.R = R,
                             .sign = -1,
                             .dropout = 0.3,
                             .down = numbers(t, in * R, 6),
                             .up_t = numbers(t, R * CONV_OUT, 7),
                             .up_back = numbers(t, CONV_OUT * R, 8),
                             .down_back_t = numbers(t, R * in, 9),
                             .grad_down = zeros(t, in * R),
                             .grad_up = zeros(t, CONV_OUT * R),
                             .grad_core = zeros(t, R * R)};
  t->linear.low_rank = &t->low;
}

static void see_low_rank_conv2d(struct trial *t) {
  see(t, "grad_down", t->low.grad_down, t->linear.in * R);
  see(t, "grad_up", t->low.grad_up, CONV_OUT * R);
  see(t, "grad_core", t->low.grad_core, R * R);
}

static struct tensor *conv2d(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct images images = two_images;
  return op_conv2d(tape, op_add(tape, in[0], in[0]), &images, &t->linear);
}

static void make_group_norm(struct trial *t) {
  t->norm = (struct norm){.channels = 18, .weight = numbers(t, 18, 18), .epsilon = 1e-5f};
  t->norm.trained_bias = trained(t, "b", 1, 18, 0, 19);
  t->norm.bias = t->norm.trained_bias->at;
}

static struct tensor *group_norm(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  struct tensor *one = op_group_norm(tape, in[0], &two_images, &t->norm, 3, true);
  return op_add(tape, one, op_add(tape, op_group_norm(tape, in[0], &two_images, &t->norm, 6, false), in[0]));
}

static struct tensor *image_moves(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  (void)t;
  struct images images = two_images;
  struct tensor *both = op_concat(tape, op_add_rows(tape, in[0], in[2]), op_concat(tape, in[1], in[0]));
  return op_upsample(tape, both, &images);
}

static void make_cross_attention(struct trial *t) {
  static const uint32_t of_queries[] = {0, 1, 2, 4, 5};
  t->queries = (struct sequences){.count = B, .tokens = 5, .longest = 2};
  t->queries.cu_seqlens = import(t, of_queries, sizeof of_queries);
  t->attention = (struct attention){.heads = HEADS, .kv_heads = KV, .scale = 0.4f};
}

static struct tensor *cross_attention(struct tape *tape, struct trial *t, struct tensor *const in[3]) {
  return op_cross_attention(tape, in[0], in[1], in[2], &t->queries, &t->sequences, &t->attention);
}

#endif
