/* What kernels are told by value: the same bytes on the host and on the device (ints and floats of 4 bytes, longs of 8,
   the longs first). Sizes count numbers; NULL pointers and zeros say what is not there. */
#ifndef WORKER_BACKEND_DEVICE_ARGS_H
#define WORKER_BACKEND_DEVICE_ARGS_H

/* struct dropout of the CPU's kernels: an element is kept or not by (seed, site, row, column) alone. */
struct dropout_args {
  unsigned long seed, site;
  unsigned int threshold; /* of 65536; 0: no dropout */
  float scale;
};

/* --- products ------------------------------------------------------------------------------------- */

/* A matrix in a type of ggml (worker/file/ggml.h has the numbers), decoded where it is read. */
struct weight_args {
  int type;
  int block, block_bytes; /* elements and bytes of a block */
  int row;                /* elements from a row to the next: whole blocks */
  int head_rows;          /* rows of a head, when its file interleaves their halves (struct weight's `heads`); or 0 */
  int bf16;               /* 1: numbers are rounded to bf16 after they are decoded; or 0 */
};

/* For each of the batches: C (rows x cols) = [C +] mask * (alpha * (A B + sign * Q V)) + bias.
   A (i, k) = a[i * a_row + k * a_col]. B (k, n) is element (k, n) of the weight, or (n, k) when transposed.
   C (i, n) = c[i * c_row + n * c_col]. Q: rows x rank, V: rank x cols, floats in rows. With splits > 1 the depth is cut
   into that many parts and sum_splits adds what they give: C of a part begins split_step numbers after the last one's,
   and neither C nor bias is added. With weight.bf16, A is rounded as the weight is; sums are floats, and Q, V and bias
   are not rounded. */
struct matmul_args {
  long a_step, b_step, c_step; /* from one batch to the next */
  long split_step;
  struct dropout_args dropout; /* of the product: element (i, n) */
  struct weight_args weight;
  int rows, cols, depth;
  int a_row, a_col, c_row, c_col;
  int transposed;
  int rank;
  float sign, alpha;
  int accumulate;
  int splits;
};

/* Rows [first, first + rows) of a weight as floats or as bf16, `stride` numbers a row. */
struct decode_args {
  struct weight_args weight;
  int first, rows, cols;
  int stride; /* a multiple of 4 */
  int bf16;
};

/* Rows [first, first + rows) of floats as bf16. */
struct round_args {
  int first, rows, cols;
  int stride; /* a multiple of 4 */
};

/* C (rows x cols) = A B, cols few: A (i, k) = a[i * a_row + k * a_col], B (k, n) = b[k * cols + n]. Part `s` of the
   depth gives C at c + s * rows * cols, or adds to what is there. Dropout is A's, numbered as A lies: its row is what a
   step of the larger stride numbers. */
struct skinny_args {
  struct dropout_args dropout;
  int rows, cols, depth;
  int a_row, a_col;
  int splits;
  int accumulate;
};

/* out (count) = [out +] scale * the sum of `splits` rows of `count`, in their order. */
struct sum_splits_args {
  long count;
  int splits;
  int accumulate;
  float scale;
};

/* out of split s (cols) = sums over its share of x's rows, times y's element if there is a y. */
struct column_sums_args {
  int rows, cols;
  int splits;
};

/* --- elements and rows ---------------------------------------------------------------------------- */

/* to (i, j) = [to +] scale * from (i, j), each with its strides. */
struct strided_copy_args {
  int rows, cols;
  int to_first, to_row, to_col, from_row, from_col;
  float scale;
  int accumulate;
};

struct fill_args {
  long count;
  float value;
};

struct elements_args {
  long count;
  int accumulate;        /* to the first output */
  int accumulate_second; /* to the second one */
};

/* Rows of 2 * cols, of which `count` elements are a half: the gate begins at column `gate`, 0 or cols. */
struct halves_args {
  long count;
  int cols;
  int gate;
  int accumulate;
};

/* Columns [first, first + cols) of rows of `wide`. */
struct columns_args {
  long count; /* of elements: of the columns, or of whole rows for their gradient */
  int wide, first, cols;
  int accumulate;
};

struct dropout_rows_args {
  struct dropout_args dropout;
  int rows, cols;
  int accumulate;
};

struct inverse_norms_args {
  int rows, R;
};

struct scale_args {
  int rows, cols;
  int accumulate;
};

struct norm_args {
  struct dropout_args dropout;
  int rows, cols;
  float epsilon;
  int accumulate;          /* dx */
  int accumulate_residual; /* dresidual */
};

struct rope_args {
  int rows, heads, half_head; /* a row is heads x (2 * half_head) */
  int turning;                /* pairs of a head that turn: its first 2 * turning columns */
  int sequences;
  int short_most, long_row; /* sequences of more than short_most tokens read the tables from long_row on; 0: none do */
  float direction;          /* 1, or -1: back */
  int accumulate;
};

struct embeddings_args {
  struct weight_args words;
  int rows, cols;
  int sequences;
};

/* Trained rows of a token embedding: `count` of `cols` numbers; `rows` tokens of `vocabulary`. */
struct token_rows_args {
  int count, rows, cols;
  int vocabulary;
};

/* Row i stands for row picked[i + after] - after of the larger matrix. */
struct rows_args {
  int rows, cols;
  int after;
};

/* Means over the rows of each of `rows` sequences. */
struct mean_args {
  int rows, cols;
  int accumulate; /* dx */
};

/* What a kernel of an odd size, centred, sees of the rows of each sequence. */
struct unfold_args {
  int rows, cols; /* of x */
  int taps;       /* the size */
  int sequences;
  int accumulate; /* dx */
};

/* Products of the first rows of a matrix with the `others` behind them: with each, or (own) with the one as far on as
   there are first ones. */
struct similarity_args {
  int first, others, cols;
  int own;
  float scale;
  int accumulate; /* dx */
};

/* --- attention ------------------------------------------------------------------------------------ */

enum attention_queries { QUERIES_ALL, QUERIES_FIRST, QUERIES_LAST }; /* the rows of each sequence that q has */

struct attention_args {
  struct dropout_args dropout; /* of the probabilities: row = head * q_rows + row of q, column = key in its sequence */
  int heads, kv_heads, head_size;
  int q_rows, sequences; /* of the batch */
  int queries;
  int causal;
  int window; /* rows see keys nearer than so many tokens; 0: all */
  float scale;
  float softcap; /* of the scaled scores; 0: none */
  int accumulate;   /* dq; dk in the kernel of keys and values */
  int accumulate_v; /* dv */
  /* Of what distances add (struct distances): distance d has row index[d + longest - 1] - first of tables that have
     table_rows rows. */
  int longest, first, table_rows;
};

/* Gradients of a table of distances: a row of `parts` a distance, from - blocks * 32 on; the batch's longest sequence
   has `tokens` tokens. */
struct gather_distances_args {
  int rows, cols; /* of the table */
  int longest, first;
  int blocks, tokens;
  int accumulate;
};

/* --- losses and the optimiser --------------------------------------------------------------------- */

struct cross_entropy_args {
  int rows, cols;
  float weight;
  int accumulate;
  float softcap; /* of the logits; 0: none */
};

/* Of a loss of each element by itself. */
struct element_loss_args {
  int count;
  float weight;
  int accumulate;
};

/* A row of the table of trained tensors. Kernels of the optimiser run over many at once: `count` numbers at p, m, v
   and grad, floats from where their buffers begin. */
struct trained_tensor {
  long p, m, v, grad;
  long count;
  long first_group; /* its work-groups, TRAINED_EACH numbers each, are numbered through from the table's first row on */
  float lr_ratio;   /* its learning rate is so many times the step's */
  float decay;      /* the same where weight decay applies, else 0 */
};

/* The rows that share their buffers. */
struct trained_rows {
  int first, count;
  int first_group; /* that of the first row */
};

struct adamw_args {
  struct trained_rows rows;
  float grad_scale, beta1, beta2, epsilon;
  float step_size, root_scale, decay;
};

struct sum_squares_args {
  struct trained_rows rows;
};

#endif
