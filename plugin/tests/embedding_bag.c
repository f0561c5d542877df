/* Compiles a program, looks at it, runs it, makes every kind of mistake, frees everything.
 * Exit status 0: all as it should be; otherwise the line of the first check that failed is printed. */
#include "hlo2dae.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)

/* No hidden NUL may matter: texts are passed without one. */
static hlo2dae_view text_of(const char *text) {
  hlo2dae_view view = {text, strlen(text)};
  return view;
}

static int contains(hlo2dae_view view, const char *word) {
  size_t size = strlen(word);
  for (size_t at = 0; at + size <= view.size; at++) {
    if (memcmp(view.data + at, word, size) == 0) {
      return 1;
    }
  }
  return 0;
}

static void succeeds(hlo2dae_error *error, int line) {
  if (error != NULL) {
    hlo2dae_view message = hlo2dae_error_message(error);
    fprintf(stderr, "line %d: %.*s\n", line, (int)message.size, message.data);
    exit(1);
  }
}
#define SUCCEEDS(call) succeeds(call, __LINE__)

static void fails(hlo2dae_error *error, int32_t code, const char *word, int line) {
  hlo2dae_view message = hlo2dae_error_message(error);
  if (error == NULL || hlo2dae_error_code(error) != code || !contains(message, word)) {
    fprintf(stderr, "line %d: expected a failure with `%s`, found: %.*s\n", line, word, (int)message.size,
            message.size == 0 ? "" : message.data);
    exit(1);
  }
  hlo2dae_error_free(error);
}
#define FAILS(call, code, word) fails(call, code, word, __LINE__)

enum { ROWS = 5, WIDTH = 3, BAGS = 2, POOL = 4 };

static const char *const PROGRAM =
    "region @embedding_bag {\n"
    "  input %table: f32[5,3]\n"
    "  input %ids: s32[2,4]\n"
    "  output %out: f32[2,3] = 0.0\n"
    "  nest (%b = 2, %l = 4, %d = 3) {\n"
    "    %id = read %ids[%b, %l]\n"
    "    %row = index %id {clamp 0..4}\n"
    "    %x = read %table[%row, %d]\n"
    "    combine add %out[%b, %d], %x\n"
    "  }\n"
    "}\n";

static const char *const HLO =
    "HloModule gather\n"
    "\n"
    "ENTRY main {\n"
    "  table = f32[5,3]{1,0} parameter(0)\n"
    "  ids = s32[4,1]{1,0} parameter(1)\n"
    "  ROOT rows = f32[4,3]{1,0} gather(table, ids), offset_dims={1}, collapsed_slice_dims={0},"
    " start_index_map={0}, index_vector_dim=1, slice_sizes={1,3}\n"
    "}\n";

static hlo2dae_array array_of(int32_t element, size_t rank, const int64_t *dims, void *data, size_t size) {
  hlo2dae_array array = {element, rank, dims, data, size};
  return array;
}

static void looks_at(const hlo2dae_module *module) {
  CHECK(hlo2dae_region_count(module) == 1);
  hlo2dae_view name = {NULL, 0};
  SUCCEEDS(hlo2dae_region_name(module, 0, &name));
  CHECK(name.size == strlen("embedding_bag") && memcmp(name.data, "embedding_bag", name.size) == 0);
  FAILS(hlo2dae_region_name(module, 1, &name), HLO2DAE_INVALID_ARGUMENT, "there is no region 1");

  size_t inputs = 0, outputs = 0;
  SUCCEEDS(hlo2dae_region_arity(module, 0, &inputs, &outputs));
  CHECK(inputs == 2 && outputs == 1);
  hlo2dae_port port;
  SUCCEEDS(hlo2dae_region_input(module, 0, 1, &port));
  CHECK(contains(port.name, "ids") && port.element == HLO2DAE_S32 && port.rank == 2);
  CHECK(port.dims[0] == BAGS && port.dims[1] == POOL);
  SUCCEEDS(hlo2dae_region_output(module, 0, 0, &port));
  CHECK(contains(port.name, "out") && port.element == HLO2DAE_F32 && port.dims[1] == WIDTH);
  FAILS(hlo2dae_region_output(module, 0, 7, &port), HLO2DAE_INVALID_ARGUMENT, "there is no output 7");
}

static void emits(const hlo2dae_module *module) {
  hlo2dae_string *text = NULL;
  const char *const stages[] = {"regions", "scf", "slc", "dlc"};
  const char *const words[] = {"region @embedding_bag", "scf.for", "slc.for", "access"};
  for (size_t stage = 0; stage < sizeof stages / sizeof stages[0]; stage++) {
    SUCCEEDS(hlo2dae_region_emit(module, 0, text_of(stages[stage]), &text));
    CHECK(contains(hlo2dae_string_view(text), words[stage]));
    hlo2dae_string_free(text);
    SUCCEEDS(hlo2dae_emit(module, text_of(stages[stage]), &text));
    CHECK(contains(hlo2dae_string_view(text), words[stage]));
    hlo2dae_string_free(text);
  }
  FAILS(hlo2dae_region_emit(module, 0, text_of("nonsense"), &text), HLO2DAE_INVALID_ARGUMENT, "nonsense");
  FAILS(hlo2dae_region_emit(module, 0, text_of("dlc"), NULL), HLO2DAE_INVALID_ARGUMENT, "null");
  hlo2dae_view dangling = {NULL, 3};
  FAILS(hlo2dae_region_emit(module, 0, dangling, &text), HLO2DAE_INVALID_ARGUMENT, "null");
}

static void runs(const hlo2dae_module *module, const char *engine) {
  const int64_t table_dims[] = {ROWS, WIDTH}, ids_dims[] = {BAGS, POOL}, out_dims[] = {BAGS, WIDTH};
  float table[ROWS][WIDTH], out[BAGS][WIDTH];
  /* 9 and -1 are outside of the table: they are clamped. */
  int32_t ids[BAGS][POOL] = {{0, 4, 4, 2}, {9, -1, 3, 3}};
  float expected[BAGS][WIDTH] = {{0}};
  for (int row = 0; row < ROWS; row++) {
    for (int column = 0; column < WIDTH; column++) {
      table[row][column] = (float)(10 * row + column);
    }
  }
  for (int bag = 0; bag < BAGS; bag++) {
    for (int at = 0; at < POOL; at++) {
      int row = ids[bag][at] < 0 ? 0 : ids[bag][at] >= ROWS ? ROWS - 1 : ids[bag][at];
      for (int column = 0; column < WIDTH; column++) {
        expected[bag][column] += table[row][column];
      }
    }
  }
  memset(out, 0x7f, sizeof out);
  hlo2dae_array inputs[] = {array_of(HLO2DAE_F32, 2, table_dims, table, sizeof table),
                            array_of(HLO2DAE_S32, 2, ids_dims, ids, sizeof ids)};
  hlo2dae_array outputs[] = {array_of(HLO2DAE_F32, 2, out_dims, out, sizeof out)};
  hlo2dae_view name = text_of(engine);

  /* Mistakes first: the outputs stay as they were. */
  FAILS(hlo2dae_run(NULL, 0, name, inputs, 2, outputs, 1), HLO2DAE_INVALID_ARGUMENT, "the module is a null pointer");
  FAILS(hlo2dae_run(module, 3, name, inputs, 2, outputs, 1), HLO2DAE_INVALID_ARGUMENT, "there is no region 3");
  FAILS(hlo2dae_run(module, 0, name, inputs, 1, outputs, 1), HLO2DAE_INVALID_ARGUMENT, "number of inputs");
  FAILS(hlo2dae_run(module, 0, name, NULL, 2, outputs, 1), HLO2DAE_INVALID_ARGUMENT, "null");
  FAILS(hlo2dae_run(module, 0, text_of("abacus"), inputs, 2, outputs, 1), HLO2DAE_INVALID_ARGUMENT, "abacus");
  hlo2dae_array wrong[2];
#define WITH(field, value, word)                                                                         \
  do {                                                                                                   \
    memcpy(wrong, inputs, sizeof wrong);                                                                 \
    wrong[1].field = (value);                                                                            \
    FAILS(hlo2dae_run(module, 0, name, wrong, 2, outputs, 1), HLO2DAE_INVALID_ARGUMENT, word);           \
  } while (0)
  const int64_t transposed[] = {POOL, BAGS}, negative[] = {-BAGS, POOL};
  WITH(element, HLO2DAE_F32, "element type");
  WITH(element, 15, "element type");
  WITH(rank, 1, "shape");
  WITH(dims, transposed, "shape");
  WITH(dims, negative, "shape");
  WITH(dims, NULL, "null");
  WITH(rank, SIZE_MAX, "too large");
  WITH(size, sizeof ids - 1, "size");
  WITH(data, NULL, "null");
  WITH(data, (char *)ids + 1, "aligned");
  hlo2dae_array overlapping[] = {array_of(HLO2DAE_F32, 2, out_dims, table, sizeof out)};
  FAILS(hlo2dae_run(module, 0, name, inputs, 2, overlapping, 1), HLO2DAE_INVALID_ARGUMENT, "shares memory");
  unsigned char untouched[sizeof out];
  memset(untouched, 0x7f, sizeof untouched);
  CHECK(memcmp(out, untouched, sizeof out) == 0);

  SUCCEEDS(hlo2dae_run(module, 0, name, inputs, 2, outputs, 1));
  CHECK(memcmp(out, expected, sizeof out) == 0);
}

int main(void) {
  CHECK(hlo2dae_version().size > 0);
  CHECK(hlo2dae_huge_pages(NULL, 0) == 0);
  CHECK(hlo2dae_retain_memory(1) == hlo2dae_retain_memory(0));

  hlo2dae_module *module = NULL;
  SUCCEEDS(hlo2dae_compile(text_of(PROGRAM), &module));
  CHECK(module != NULL);
  looks_at(module);
  emits(module);
  const char *const engines[] = {"", "scf", "slc", "dlc", "emulator"};
  for (size_t engine = 0; engine < sizeof engines / sizeof engines[0]; engine++) {
    runs(module, engines[engine]);
  }
  hlo2dae_module_free(module);

  SUCCEEDS(hlo2dae_compile(text_of(HLO), &module));
  CHECK(hlo2dae_region_count(module) == 1);
  hlo2dae_module_free(module);

  hlo2dae_module *none = NULL;
  FAILS(hlo2dae_compile(text_of("HloModule m\n\nENTRY main {"), &none), HLO2DAE_INVALID_ARGUMENT, "expected");
  FAILS(hlo2dae_compile(text_of("region @r { input %x: f33[2] }"), &none), HLO2DAE_INVALID_ARGUMENT, "f33");
  FAILS(hlo2dae_compile(text_of(""), &none), HLO2DAE_INVALID_ARGUMENT, "expected");
  hlo2dae_view not_utf8 = {"region \xff", 8};
  FAILS(hlo2dae_compile(not_utf8, &none), HLO2DAE_INVALID_ARGUMENT, "UTF-8");
  FAILS(hlo2dae_compile(text_of(PROGRAM), NULL), HLO2DAE_INVALID_ARGUMENT, "null");
  CHECK(none == NULL);

  FAILS(hlo2dae_register_tensorflow(), HLO2DAE_INVALID_ARGUMENT, "import tensorflow first");
  hlo2dae_jax_registration registration;
  SUCCEEDS(hlo2dae_register_jax(&registration));
  CHECK(contains(registration.target, "hlo2dae") && registration.execute != NULL);

  hlo2dae_module_free(NULL);
  hlo2dae_string_free(NULL);
  hlo2dae_error_free(NULL);
  CHECK(hlo2dae_region_count(NULL) == 0 && hlo2dae_error_code(NULL) == HLO2DAE_OK);
  puts("ok");
  return 0;
}
