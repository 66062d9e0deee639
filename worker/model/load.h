/* What the architectures load themselves with: config members, tensors and modules by name. Every
   fault is STATUS_MODEL_INVALID naming the member or tensor. */
#ifndef WORKER_MODEL_LOAD_H
#define WORKER_MODEL_LOAD_H

#include "worker/model/model.h"

/* Members of config.json: a size from 1 to max; a whole number from min to max; a number; a share in [0, 1); a truth
 * value. */
NODISCARD enum status load_size(size_t *out, const struct model *model, const char *key, size_t fallback, size_t max,
                                struct error *err);
NODISCARD enum status load_count(int64_t *out, const struct model *model, const char *key, int64_t fallback,
                                 int64_t min, int64_t max, struct error *err);
NODISCARD enum status load_number(double *out, const struct model *model, const char *key, double fallback,
                                  struct error *err);
NODISCARD enum status load_share(double *out, const struct model *model, const char *key, double fallback,
                                 struct error *err);
NODISCARD enum status load_bool(bool *out, const struct model *model, const char *key, bool fallback,
                                struct error *err);
/* A member that names an activation, as Transformers does; `fallback` where it is absent. */
typedef struct tensor *load_activation_op(struct tape *tape, struct tensor *x);
NODISCARD enum status load_activation(load_activation_op **out, const struct model *model, const char *key,
                                      const char *fallback, struct error *err);

/* Tensors are looked up under their name and without the model's prefix ("bert.", "model."). */
bool load_has(const struct model *model, const char *prefix, const char *name);
/* The tensor `prefix``name` of that shape where it lies in the file, in the file's type. */
NODISCARD enum status load_matrix(struct weight *out, struct model *model, const char *prefix, const char *name,
                                  size_t rows, size_t cols, struct error *err);
/* The same for an operand of matmuls: a backend that rounds it to bf16 in each of them has it rounded, in half of the
   memory of fp32. */
NODISCARD enum status load_operand(struct weight *out, struct model *model, const char *prefix, const char *name,
                                   size_t rows, size_t cols, struct error *err);
/* The same (cols 0: a vector) as fp32: mapped, or converted. For small ones. */
NODISCARD enum status load_floats(struct place *out, struct model *model, const char *prefix, const char *name,
                                  size_t rows, size_t cols, struct error *err);
/* Has the tensor `prefix``name` that shape? Matrices of a convolution or of experts are seen as one of fewer
   dimensions by all the others. */
NODISCARD enum status load_check_shape(const struct model *model, const char *prefix, const char *name,
                                       const int64_t *shape, int rank, struct error *err);
/* Notes `prefix``path` among the modules that a job may name, where no tensor that is read is called so. */
NODISCARD enum status load_note(struct model *model, const char *prefix, const char *path, struct error *err);
/* Without the rows before `first`: a kernel is given the beginning of a buffer. */
NODISCARD enum status load_floats_from(struct place *out, struct model *model, const char *prefix, const char *name,
                                       size_t rows, size_t first, size_t cols, struct error *err);

enum load_bias { LOAD_NO_BIAS, LOAD_BIAS, LOAD_BIAS_IF_THERE };
/* The linear module `prefix``path` (its name from then on); it joins the model's list. */
NODISCARD enum status load_linear(struct model *model, struct linear *linear, const char *prefix, const char *path,
                                  size_t in, size_t out, enum load_bias bias, struct error *err);
/* The same, but no adapter ever goes on it: it does not join the list. */
NODISCARD enum status load_frozen_linear(struct model *model, struct linear *linear, const char *prefix,
                                         const char *path, size_t in, size_t out, enum load_bias bias,
                                         struct error *err);
/* One without a bias, of as many outputs as the file has, and without a prefix: a projection that CLIP's embeddings end
   with. linear->out 0: the file has none. */
NODISCARD enum status load_embedding_projection(struct model *model, struct linear *linear, const char *path, size_t in,
                                                struct error *err);
/* The same for a Conv2d: its tensor is [out, channels, kernel rows, kernel columns]. *convolution is copied. */
NODISCARD enum status load_conv(struct model *model, struct linear *linear, const char *prefix, const char *path,
                                const struct convolution *convolution, size_t out, enum load_bias bias,
                                struct error *err);
/* The same for a module of Transformers' Conv1D, whose weight is in x out: it is transposed when it is loaded. */
NODISCARD enum status load_conv1d(struct model *model, struct linear *linear, const char *prefix, const char *path,
                                  size_t in, size_t out, struct error *err);
/* torch's Conv1d with groups 1, as the linear layer of what op_unfold makes of its input: its tensor is [out, channels,
   kernel]. It becomes the model's `convolution` instead of joining the list. */
NODISCARD enum status load_torch_conv1d(struct model *model, struct linear *linear, const char *prefix,
                                        const char *path, size_t channels, size_t kernel, size_t out,
                                        struct error *err);
/* The head of a language model, or a classifier's, as its output is. lm_head is the file's own where it has one, even
   if it is said to be tied to the token embedding: Transformers ties them only when they are equal. An untied model
   without one would have random numbers there. `embedding_path` is the token embedding's module, whose rows may be
   trained (token_rows). */
NODISCARD enum status load_decoder_head(struct model *model, struct linear *head, const char *embedding_path,
                                        const struct weight *token_embedding, bool tied, uint64_t seed,
                                        struct error *err);
NODISCARD enum status load_norm(struct model *model, struct norm *norm, const char *prefix, const char *path,
                                size_t channels, double epsilon, bool bias, struct error *err);
/* An RMSNorm of whose weight the file has another form: weight = factor * (offset + the file's). */
NODISCARD enum status load_rmsnorm(struct model *model, struct norm *norm, const char *prefix, const char *path,
                                   size_t channels, double epsilon, float offset, float factor, struct error *err);
/* One that the file may lack: it is then a new one, of ones and zeros. */
NODISCARD enum status load_or_make_norm(struct model *model, struct norm *norm, const char *prefix, const char *path,
                                        size_t channels, double epsilon, bool bias, struct error *err);
/* A module that the file may lack or have in another shape (a pooler, a classifier's head): it then starts
   at random from `seed` and its name, with normal numbers of that deviation. *made tells. */
NODISCARD enum status load_or_make(struct model *model, struct linear *linear, const char *prefix, const char *path,
                                   size_t in, size_t out, bool bias, double deviation, uint64_t seed, bool *made,
                                   struct error *err);
/* The numbers of such a module at random, from `seed` and `name`, whatever the file has; its bias is zero. */
NODISCARD enum status load_at_random(struct model *model, struct linear *linear, const char *name, bool bias,
                                     double deviation, uint64_t seed, struct error *err);
/* Lists `name` among modules_to_save: what was made at random is worthless elsewhere unless it is saved. */
NODISCARD enum status load_must_save(struct model *model, const char *name, struct error *err);

#endif
