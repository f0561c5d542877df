/* hlo2dae: embedding operations of HLO programs on decoupled access-execute machines.
 *
 * Text in, numbers out:
 *
 *   hlo2dae_module *module = NULL;
 *   hlo2dae_error *error = hlo2dae_compile(text, &module);
 *   if (error != NULL) { ... hlo2dae_error_message(error) ...; hlo2dae_error_free(error); }
 *   error = hlo2dae_run(module, 0, engine, inputs, 2, outputs, 1);
 *   hlo2dae_module_free(module);
 *
 * ERRORS. A function that can fail returns NULL when it succeeds and an error that the caller owns
 * when it does not; it then has written nothing through its result pointers. A bug of the library
 * comes back as an error too (HLO2DAE_INTERNAL): nothing is thrown, nothing unwinds through C.
 *
 * TEXTS. All texts are UTF-8 with a length. None needs a terminating NUL, none has one that counts.
 *
 * OWNERSHIP. What a function gives out through a `hlo2dae_module **` or `hlo2dae_string **`, and
 * every error, belongs to the caller, who frees it once with the function of its type; freeing NULL
 * does nothing. A `hlo2dae_view` or `hlo2dae_port` that a function gives out points into the handle
 * that it was asked of and lives as long as that. What the caller passes in stays the caller's and
 * is not used after the call.
 *
 * THREADS. Handles never change after they were made: any number of threads may use one at the same
 * time. Freeing a handle while another thread uses it is the caller's mistake. There is no
 * thread-local or global state to set up. With HLO2DAE_DETERMINISTIC=1 in the environment, the native
 * engine gives the same results on any number of threads (plugin/docs/python.md).
 *
 * CHECKS. Before memory is touched, pointers are checked for null and alignment, sizes for
 * overflow, arrays for element type, rank, dimensions and size, outputs for overlap with other
 * arrays. That a pointer which passes points to memory that is there is the caller's word.
 *
 * LAYOUT. Structs are those of the platform's C ABI. New functions and constants may be added; a
 * struct or function of this header does not change without a new major version.
 */
#ifndef HLO2DAE_H
#define HLO2DAE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns. `data` may be NULL when `size` is 0. */
typedef struct hlo2dae_view {
  const char *data;
  size_t size;
} hlo2dae_view;

/* The version of the library, e.g. "0.1.0"; lives as long as the library. */
hlo2dae_view hlo2dae_version(void);

/* --- Errors ----------------------------------------------------------------------------------- */

typedef struct hlo2dae_error hlo2dae_error;

/* Whose turn it is to act. */
enum {
  HLO2DAE_OK = 0,
  /* The input is wrong: a text, a name, an array, a pointer. */
  HLO2DAE_INVALID_ARGUMENT = 1,
  /* The input is right, and the library cannot do it. */
  HLO2DAE_UNSUPPORTED = 2,
  /* A bug of the library. */
  HLO2DAE_INTERNAL = 3
};

/* One of the codes above; HLO2DAE_OK for NULL. */
int32_t hlo2dae_error_code(const hlo2dae_error *error);
/* What happened: place, expected, found. Lives as long as the error; empty for NULL. */
hlo2dae_view hlo2dae_error_message(const hlo2dae_error *error);
void hlo2dae_error_free(hlo2dae_error *error);

/* --- Texts that the library gives out ----------------------------------------------------------- */

typedef struct hlo2dae_string hlo2dae_string;

/* The text; lives as long as the string; empty for NULL. */
hlo2dae_view hlo2dae_string_view(const hlo2dae_string *string);
void hlo2dae_string_free(hlo2dae_string *string);

/* --- Modules and their regions ------------------------------------------------------------------ */

typedef struct hlo2dae_module hlo2dae_module;

/* Compiles HLO text, and every embedding region in it down to the machine's programs. A text that
 * starts with the keyword of one of hlo2dae's own IRs is read as one program of that IR: a module of
 * one region. */
hlo2dae_error *hlo2dae_compile(hlo2dae_view text, hlo2dae_module **module);
void hlo2dae_module_free(hlo2dae_module *module);

/* Number of regions; they are numbered from 0 in the order of the text. 0 for NULL. */
size_t hlo2dae_region_count(const hlo2dae_module *module);
hlo2dae_error *hlo2dae_region_name(const hlo2dae_module *module, size_t region, hlo2dae_view *name);

/* Element types; the numbers are those of XLA's PrimitiveType. A bool is one byte of 0 or 1. */
enum {
  HLO2DAE_BOOL = 1,
  HLO2DAE_S8 = 2,
  HLO2DAE_S16 = 3,
  HLO2DAE_S32 = 4,
  HLO2DAE_S64 = 5,
  HLO2DAE_U8 = 6,
  HLO2DAE_U16 = 7,
  HLO2DAE_U32 = 8,
  HLO2DAE_U64 = 9,
  HLO2DAE_F16 = 10,
  HLO2DAE_F32 = 11,
  HLO2DAE_F64 = 12,
  HLO2DAE_BF16 = 16
};

/* An input or output of a region. */
typedef struct hlo2dae_port {
  hlo2dae_view name;
  int32_t element;
  size_t rank;
  /* `rank` sizes. */
  const int64_t *dims;
} hlo2dae_port;

/* How many inputs and outputs a region has, and each of them. */
hlo2dae_error *hlo2dae_region_arity(const hlo2dae_module *module, size_t region, size_t *inputs,
                                    size_t *outputs);
hlo2dae_error *hlo2dae_region_input(const hlo2dae_module *module, size_t region, size_t input,
                                    hlo2dae_port *port);
hlo2dae_error *hlo2dae_region_output(const hlo2dae_module *module, size_t region, size_t output,
                                     hlo2dae_port *port);

/* The text of a stage, named as after `--emit` on the command line: of the whole module, or of one
 * region. The stage "regions" of one region is what a custom call carries. */
hlo2dae_error *hlo2dae_emit(const hlo2dae_module *module, hlo2dae_view stage, hlo2dae_string **text);
hlo2dae_error *hlo2dae_region_emit(const hlo2dae_module *module, size_t region, hlo2dae_view stage,
                                   hlo2dae_string **text);

/* --- Runs --------------------------------------------------------------------------------------- */

/* Memory for an input or output: dense, row-major, in the machine's byte order, aligned to its
 * element. */
typedef struct hlo2dae_array {
  int32_t element;
  size_t rank;
  /* `rank` sizes; may be NULL when `rank` is 0. */
  const int64_t *dims;
  /* Inputs are only read. May be NULL when `size` is 0. */
  void *data;
  /* Bytes at `data`: the product of the sizes times the element's. */
  size_t size;
} hlo2dae_array;

/* Runs a region. `engine` is named as after `--engine` on the command line; an empty name stands for
 * the default, `native`, which runs on all cores of this CPU. One array for each input and output, in order. Inputs
 * may share memory, outputs may not. When the run fails, the outputs hold anything. */
hlo2dae_error *hlo2dae_run(const hlo2dae_module *module, size_t region, hlo2dae_view engine,
                           const hlo2dae_array *inputs, size_t input_count,
                           const hlo2dae_array *outputs, size_t output_count);

/* Rebuilds memory in large pages, in place, which halves the time of random rows in a large table; nobody who uses the memory notices.
 * It takes about a second for a gigabyte. 1 if the system did so; 0 if it cannot (it needs Linux 6.1, and 2 MiB of memory
 * at least), and then nothing has changed. `data` may be NULL when `size` is 0. */
int32_t hlo2dae_huge_pages(const void *data, size_t size);

/* Has the C library keep freed memory for what is asked for next, in the whole process: large results, which a framework asks for in
 * every call, are then written to pages that are there, and not to ones that the system clears first. With `retain` 0 it is as it
 * began, and free memory is given back. To be called before threads that compute are made: those of before keep heaps of their own.
 * 1 if the C library does so; it needs glibc. */
int32_t hlo2dae_retain_memory(int32_t retain);

/* --- Custom calls of XLA ------------------------------------------------------------------------ */

/* Registers the custom calls "hlo2dae" (typed) and "hlo2dae_untyped" with the TensorFlow that the
 * process has loaded. The library must stay loaded from then on. Doing it again does nothing. */
hlo2dae_error *hlo2dae_register_tensorflow(void);

/* What the registration functions of JAX take, to be called from Python; all of it lives as long as
 * the library. The type must be registered before the target. */
typedef struct hlo2dae_jax_registration {
  hlo2dae_view target;
  hlo2dae_view state_type;
  void *type_id;
  const void *type_info;
  const void *instantiate;
  const void *execute;
} hlo2dae_jax_registration;

hlo2dae_error *hlo2dae_register_jax(hlo2dae_jax_registration *registration);

#ifdef __cplusplus
}
#endif

#endif /* HLO2DAE_H */
