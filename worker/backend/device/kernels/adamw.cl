/* One AdamW update in torch's form: step_size = lr / (1 - beta1^t), root_scale = 1 / sqrt(1 - beta2^t),
   decay = 1 - lr * weight_decay. */
KERNEL adamw(GLOBAL float *p, GLOBAL float *m, GLOBAL float *v, GLOBAL const float *g, const struct adamw_args a) {
  FIRST_PHASE {
    const long i = element_of(ITEM);
    if (i < a.count) {
      const float grad = g[i] * a.grad_scale;
      m[i] = a.beta1 * m[i] + (1.0f - a.beta1) * grad;
      v[i] = a.beta2 * v[i] + (1.0f - a.beta2) * grad * grad;
      p[i] = p[i] * a.decay - a.step_size * m[i] / (sqrtf(v[i]) * a.root_scale + a.epsilon);
    }
  }
}
