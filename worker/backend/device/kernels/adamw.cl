/* One AdamW update of a list of parameters in one launch: a group a chunk of the list. p, m, v and g lie alike. torch's
   form: step_size = lr / (1 - beta1^t), root_scale = 1 / sqrt(1 - beta2^t), decay = 1 - lr * weight_decay. */
KERNEL adamw(GLOBAL float *p, GLOBAL float *m, GLOBAL float *v, GLOBAL const float *g,
             GLOBAL const struct adamw_chunk *chunks, const struct adamw_args a) {
  const struct adamw_chunk chunk = chunks[GROUP(0)];
  FIRST_PHASE {
    for (int at = ITEM; at < chunk.count; at += GROUP_ITEMS) {
      const long i = chunk.first + at;
      const float grad = g[i] * a.grad_scale;
      m[i] = a.beta1 * m[i] + (1.0f - a.beta1) * grad;
      v[i] = a.beta2 * v[i] + (1.0f - a.beta2) * grad * grad;
      p[i] = p[i] * chunk.decay - a.step_size * m[i] / (sqrtf(v[i]) * a.root_scale + a.epsilon);
    }
  }
}
