/* What a step asks of a device beside its ops: launches and reads do not grow with the number of trained tensors, and
   the numbers are the CPU's. */
#include "tests/worker/backend/device/host_device.h"

#include "tests/worker/engine_impl.h"

#include "worker/adapter/adapter.h"
#include "worker/backend/device/device_backend.h"
#include "worker/optim/adamw.h"

static int reads, writes;

static enum status count_read(struct device *device, void *to, struct place from, size_t bytes, struct error *err) {
  reads++;
  return host_read(device, to, from, bytes, err);
}

static enum status count_write(struct device *device, struct place to, const void *from, size_t bytes,
                               struct error *err) {
  writes++;
  return host_write(device, to, from, bytes, err);
}

static struct device_ops counting_ops;
static struct device counting_device;
static struct backend cpu, device;
static struct arena arena;

static int open_both(void **state) {
  (void)state;
  struct error err;
  host_order(false);
  arena_init(&arena, (size_t)1 << 28);
  counting_ops = host_ops;
  counting_ops.read = count_read;
  counting_ops.write = count_write;
  counting_device = host_device;
  counting_device.ops = &counting_ops;
  return cpu_open(&cpu, 2, NULL, &err) || device_backend_open(&device, &counting_device, 1, &err);
}

static int close_both(void **state) {
  (void)state;
  backend_close(&cpu);
  backend_close(&device);
  arena_done(&arena);
  return 0;
}

/* --- the optimiser -------------------------------------------------------------------------------- */

enum { LARGEST = 10000 };

/* `count` parameters of mixed sizes, every third without weight decay, every fifth faster and every seventh frozen,
   after two steps. */
static struct parameter_list train(struct backend *backend, struct buffers *buffers, size_t count, double *norm) {
  struct parameter_list list = {.arena = &arena, .buffers = buffers};
  struct adamw adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01, .max_grad_norm = 1};
  struct error err;
  *buffers = (struct buffers){.backend = backend};
  for (size_t i = 0; i < count; i++) {
    struct parameter *p = parameter_add(&list, "p", 1, (int64_t)(1 + i * 977 % LARGEST), 0);
    assert_non_null(p);
    p->decay = i % 3 != 0;
    p->lr_ratio = i % 5 == 1 ? 16 : 1;
    p->frozen = i % 7 == 6;
    fill(p->data, p->count, i + 1);
    fill(p->grad, p->count, i + 1000);
  }
  parameter_upload(&list);
  assert_int_equal(adamw_init(&adamw, &list, backend, &err), STATUS_OK);
  assert_int_equal(adamw_update(&adamw, 0.01, norm, &err), STATUS_OK);
  uint64_t launches = counting_device.launches;
  reads = writes = 0;
  assert_int_equal(adamw_update(&adamw, 0.01, norm, &err), STATUS_OK);
  if (backend == &device) { /* the table is there since the first step */
    uint64_t slabs = 1;
    for (size_t i = 1; i < count; i++)
      slabs += list.item[i]->at.buffer != list.item[i - 1]->at.buffer;
    assert_int_equal(counting_device.launches - launches, 2 * slabs);
    assert_true(slabs <= 6);
    assert_int_equal(reads, 1);
    assert_int_equal(writes, 0);
  }
  assert_int_equal(parameter_download(&list, &err), STATUS_OK);
  adamw_done(&adamw);
  return list;
}

static void optimiser_is_a_few_launches(void **state) {
  (void)state;
  static const size_t counts[] = {1, 3, 100};
  for (size_t n = 0; n < COUNT_OF(counts); n++) {
    struct buffers buffers[2];
    double norm[2];
    struct parameter_list want = train(&cpu, &buffers[0], counts[n], &norm[0]);
    struct parameter_list got = train(&device, &buffers[1], counts[n], &norm[1]);
    assert_true(fabs(norm[0] - norm[1]) <= 1e-6 * norm[0]);
    for (size_t i = 0; i < counts[n]; i++)
      for (size_t j = 0; j < want.item[i]->count; j++)
        assert_true(fabsf(want.item[i]->data[j] - got.item[i]->data[j]) <= 1e-6f);
    uint64_t launches = counting_device.launches;
    parameter_zero_grads(&got);
    assert_true(counting_device.launches - launches <= 6);
    assert_int_equal(parameter_download(&got, NULL), STATUS_OK);
    for (size_t i = 0; i < counts[n]; i++)
      for (size_t j = 0; j < got.item[i]->count; j++)
        assert_true(got.item[i]->grad[j] == 0);
    buffers_release(&buffers[0]);
    buffers_release(&buffers[1]);
  }
}

/* Other tensors under the same backend: the table is made anew. */
static void table_follows_the_tensors(void **state) {
  (void)state;
  struct buffers buffers[2];
  double norm;
  for (size_t count = 2; count <= 3; count++) {
    struct parameter_list list = train(&device, &buffers[0], count, &norm),
                          want = train(&cpu, &buffers[1], count, &norm);
    for (size_t i = 0; i < count; i++)
      assert_true(fabsf(list.item[i]->data[0] - want.item[i]->data[0]) <= 1e-6f);
    buffers_release(&buffers[0]);
    buffers_release(&buffers[1]);
  }
}

/* --- adapters ------------------------------------------------------------------------------------- */

enum { ADAPTERS = 12, IN = 40, OUT = 24 };

/* The parameters' gradients of so many adapters, side by side, from gradients of the factors that are made up. */
static float *gradients(struct backend *backend, const struct adapter_spec *spec, size_t count) {
  struct buffers buffers = {.backend = backend};
  struct parameter_list list = {.arena = &arena, .buffers = &buffers};
  struct linear *linears = arena_array(&arena, count, sizeof *linears);
  float *w = arena_array(&arena, IN * OUT, sizeof *w), *grads = arena_array(&arena, IN * IN, sizeof *grads);
  struct adapter *adapters[ADAPTERS];
  struct place place;
  struct error err;
  assert_true(linears && w && grads);
  fill(w, IN * OUT, 1);
  fill(grads, IN * IN, 2);
  assert_int_equal(buffers_import(&buffers, &place, w, IN * OUT * sizeof *w, &err), STATUS_OK);
  for (size_t i = 0; i < count; i++) {
    linears[i] = (struct linear){.name = "l", .in = IN, .out = OUT, .weight = weight_of(w, OUT, IN)};
    linears[i].weight.place = place;
    assert_int_equal(adapter_new(&adapters[i], spec, &linears[i], &list, i, &err), STATUS_OK);
  }
  parameter_upload(&list);
  assert_int_equal(adapter_forward_factors(adapters, count, backend, &err), STATUS_OK);
  parameter_zero_grads(&list);
  for (size_t i = 0; i < count; i++) {
    const struct low_rank *low = &adapters[i]->low;
    backend->ops->write(backend, low->grad_down, grads, IN * low->R * sizeof *grads);
    backend->ops->write(backend, low->grad_up, grads, OUT * low->R * sizeof *grads);
    backend->ops->write(backend, low->grad_core, grads, low->R * low->R * sizeof *grads);
  }
  adapter_backward_factors(adapters, count, backend, 0.1);
  assert_int_equal(parameter_download(&list, &err), STATUS_OK);
  reads = writes = 0;
  assert_int_equal(adapter_forward_factors(adapters, count, backend, &err), STATUS_OK);
  assert_true(reads <= 1 && writes <= 1);
  float *all = arena_array(&arena, parameter_elements(&list), sizeof *all), *at = all;
  for (size_t i = 0; i < list.count; at += list.item[i]->count, i++)
    memcpy(at, list.item[i]->grad, list.item[i]->count * sizeof *at);
  adapter_backward_factors(adapters, count, backend, 0.1);
  assert_true(reads <= 2 && writes <= 2);
  buffers_release(&buffers);
  return all;
}

static void adapters_read_once(void **state) {
  (void)state;
  static const struct adapter_spec specs[] = {
      {.peft_type = PEFT_HRA, .hra = {.r = 4, .init_weights = true}},
      {.peft_type = PEFT_HRA, .hra = {.r = 11}},
      {.peft_type = PEFT_HRA, .hra = {.r = 8, .apply_GS = true}},
      {.peft_type = PEFT_LORA, .lora = {.r = 4, .lora_alpha = 8, .init_lora_weights = LORA_INIT_FALSE}},
  };
  for (size_t s = 0; s < COUNT_OF(specs); s++)
    for (size_t count = 1; count <= ADAPTERS; count += ADAPTERS - 1) {
      size_t r = (size_t)(specs[s].peft_type == PEFT_HRA ? specs[s].hra.r : specs[s].lora.r);
      size_t floats = count * r * (specs[s].peft_type == PEFT_HRA ? IN : IN + OUT);
      const float *want = gradients(&cpu, &specs[s], count), *got = gradients(&device, &specs[s], count);
      float most = 1e-6f;
      for (size_t i = 0; i < floats; i++)
        most = fmaxf(most, fabsf(want[i]));
      for (size_t i = 0; i < floats; i++)
        assert_true(fabsf(got[i] - want[i]) <= 1e-4f * most);
    }
}

/* A device that fails is what is told, not the zeros that came of it. */
static void a_failed_read_is_the_error(void **state) {
  (void)state;
  const struct adapter_spec spec = {.peft_type = PEFT_HRA, .hra = {.r = 4}};
  struct buffers buffers = {.backend = &device};
  struct parameter_list list = {.arena = &arena, .buffers = &buffers};
  struct linear linear = {.name = "l", .in = IN, .out = OUT};
  struct adapter *adapter;
  struct error err;
  assert_int_equal(adapter_new(&adapter, &spec, &linear, &list, 1, &err), STATUS_OK);
  parameter_upload(&list);
  device.device->fault = (struct error){.status = STATUS_OUT_OF_MEMORY, .text = "no memory there"};
  assert_int_equal(adapter_forward_factors(&adapter, 1, &device, &err), STATUS_OUT_OF_MEMORY);
  assert_string_equal(err.text, "no memory there");
  device.device->fault = (struct error){0};
  buffers_release(&buffers);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(optimiser_is_a_few_launches),
                                     cmocka_unit_test(table_follows_the_tensors), cmocka_unit_test(adapters_read_once),
                                     cmocka_unit_test(a_failed_read_is_the_error)};
  return cmocka_run_group_tests_name("step", tests, open_both, close_both);
}
