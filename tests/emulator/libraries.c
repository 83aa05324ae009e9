// NVRTC, cuBLASLt and NCCL without a GPU, for tests; built once for each with its name (see cuda.c).

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prelude.h"

typedef int status;
void emulator_enqueue(void *stream, void (*run)(void *), const void *data, size_t size);

// ---- NVRTC: compiles with `cc`; the image is the path of the library that comes out ----

struct program {
    char *source, path[256], log[1 << 14];
};
status nvrtcCreateProgram(struct program **program, const char *source, const char *name, int n, void *h, void *i) {
    (void)name, (void)n, (void)h, (void)i;
    *program = calloc(1, sizeof **program);
    (*program)->source = strdup(source);
    return 0;
}
status nvrtcCompileProgram(struct program *program, int count, const char *const *options) {
    static int number;
    char source[256], command[4096];
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(source, sizeof source, "%s/tamis-kernels-%d-%d.c", folder, getpid(), __sync_fetch_and_add(&number, 1));
    snprintf(program->path, sizeof program->path, "%s.so", source);
    FILE *file = fopen(source, "w");
    if (!file) return 4;
    fputs(program->source, file);
    fclose(file);
    int at = snprintf(command, sizeof command, "cc -w -O2 -march=native -ffp-contract=off -shared -fPIC -include %s", PRELUDE);
    for (int option = 0; option < count; option++)
        if (!strncmp(options[option], "-D", 2)) at += snprintf(command + at, sizeof command - at, " %s", options[option]);
    snprintf(command + at, sizeof command - at, " -o %s %s -lm 2>&1", program->path, source);
    FILE *output = popen(command, "r");
    if (!output) return 4;
    program->log[fread(program->log, 1, sizeof program->log - 1, output)] = 0;
    int failed = pclose(output);
    unlink(source);
    return failed ? 6 : 0;
}
status nvrtcGetProgramLogSize(struct program *program, size_t *size) {
    *size = strlen(program->log) + 1;
    return 0;
}
status nvrtcGetProgramLog(struct program *program, char *log) {
    strcpy(log, program->log);
    return 0;
}
status nvrtcGetCUBINSize(struct program *program, size_t *size) {
    *size = strlen(program->path) + 1;
    return 0;
}
status nvrtcGetCUBIN(struct program *program, char *image) {
    strcpy(image, program->path);
    return 0;
}
status nvrtcDestroyProgram(struct program **program) {
    free((*program)->source);
    free(*program);
    return 0;
}
const char *nvrtcGetErrorString(status error) { return error ? "NVRTC_ERROR_COMPILATION" : "NVRTC_SUCCESS"; }

// ---- cuBLASLt: column-major products of 16-bit floats ----

enum { FLOAT = 0, BF16 = 14 };
struct layout {
    int type;
    u64 rows, columns;
    int64_t stride;
};
struct description {
    int left, right;
};
struct algorithm {
    u64 data[8];
};
struct heuristic {
    struct algorithm algorithm;
    size_t workspace;
    status state;
    float waves;
    int reserved[4];
};
status cublasLtCreate(void **handle) {
    *handle = malloc(1);
    return 0;
}
status cublasLtDestroy(void *handle) {
    free(handle);
    return 0;
}
size_t cublasLtGetVersion(void) { return 1; }
status cublasLtMatrixLayoutCreate(struct layout **layout, int type, u64 rows, u64 columns, int64_t stride) {
    *layout = malloc(sizeof **layout);
    **layout = (struct layout){type, rows, columns, stride};
    return 0;
}
status cublasLtMatrixLayoutDestroy(struct layout *layout) {
    free(layout);
    return 0;
}
status cublasLtMatmulDescCreate(struct description **description, int compute, int scale) {
    *description = calloc(1, sizeof **description);
    // CUBLAS_COMPUTE_32F and float scales.
    return compute == 68 && scale == FLOAT ? 0 : 15;
}
status cublasLtMatmulDescSetAttribute(struct description *description, int attribute, const void *value, size_t size) {
    if (size != 4) return 7;
    if (attribute == 3) description->left = *(const int *)value;
    if (attribute == 4) description->right = *(const int *)value;
    return attribute == 3 || attribute == 4 ? 0 : 7;
}
status cublasLtMatmulDescDestroy(struct description *description) {
    free(description);
    return 0;
}
status cublasLtMatmulPreferenceCreate(void **preference) {
    *preference = malloc(1);
    return 0;
}
status cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t size) {
    (void)preference, (void)value;
    return attribute == 1 && size == 8 ? 0 : 7;
}
status cublasLtMatmulPreferenceDestroy(void *preference) {
    free(preference);
    return 0;
}
// Two ways, which differ in the order of the sums.
status cublasLtMatmulAlgoGetHeuristic(void *handle, void *description, void *a, void *b, void *c, void *d, void *preference,
                                      int wanted, struct heuristic *results, int *found) {
    (void)handle, (void)description, (void)a, (void)b, (void)c, (void)d, (void)preference;
    memset(results, 0, wanted * sizeof *results);
    *found = wanted < 2 ? wanted : 2;
    for (int at = 0; at < *found; at++) results[at].algorithm.data[0] = at;
    return 0;
}

struct product {
    u64 m, n, k;
    const bf16 *a, *b;
    void *d;
    int64_t a_stride, b_stride, d_stride;
    int left, right, type, backwards;
    float alpha, beta;
};
static float value(const bf16 *matrix, int64_t stride, int turned, u64 row, u64 column) {
    return from_bits((u32)(turned ? matrix[column + row * stride] : matrix[row + column * stride]) << 16);
}
static void run_product(void *data) {
    struct product *p = data;
    float *sums = malloc(p->m * sizeof(float)), *left = malloc(p->m * p->k * sizeof(float));
    for (u64 k = 0; k < p->k; k++)
        for (u64 row = 0; row < p->m; row++) left[k * p->m + row] = value(p->a, p->a_stride, p->left, row, k);
    for (u64 column = 0; column < p->n; column++) {
        memset(sums, 0, p->m * sizeof(float));
        for (u64 n = 0; n < p->k; n++) {
            u64 k = p->backwards ? p->k - 1 - n : n;
            float factor = value(p->b, p->b_stride, p->right, k, column);
            const float *from = left + k * p->m;
            for (u64 row = 0; row < p->m; row++) sums[row] += factor * from[row];
        }
        for (u64 row = 0; row < p->m; row++) {
            u64 at = row + column * p->d_stride;
            float sum = p->alpha * sums[row];
            if (p->type == FLOAT) {
                float *to = (float *)p->d + at;
                *to = sum + (p->beta == 0 ? 0 : p->beta * *to);
            } else {
                bf16 *to = (bf16 *)p->d + at;
                *to = rounded(sum + (p->beta == 0 ? 0 : p->beta * from_bits((u32)*to << 16)));
            }
        }
    }
    free(sums);
    free(left);
}
status cublasLtMatmul(void *handle, struct description *description, const float *alpha, const void *a, struct layout *a_layout,
                      const void *b, struct layout *b_layout, const float *beta, const void *c, struct layout *c_layout, void *d,
                      struct layout *d_layout, const struct algorithm *algorithm, void *workspace, size_t size, void *stream) {
    (void)handle, (void)workspace, (void)size, (void)c_layout;
    u64 m = description->left ? a_layout->columns : a_layout->rows, k = description->left ? a_layout->rows : a_layout->columns;
    u64 n = description->right ? b_layout->rows : b_layout->columns, other = description->right ? b_layout->columns : b_layout->rows;
    if (k != other || m != d_layout->rows || n != d_layout->columns || c != d) return 7;
    if (a_layout->type != BF16 || b_layout->type != BF16 || (d_layout->type != BF16 && d_layout->type != FLOAT)) return 15;
    if (a_layout->stride < (int64_t)a_layout->rows || b_layout->stride < (int64_t)b_layout->rows) return 7;
    if ((uintptr_t)a % 16 || (uintptr_t)b % 16 || (uintptr_t)d % 16) return 15;
    struct product product = {m, n, k, a, b, d, a_layout->stride, b_layout->stride, d_layout->stride,
                              description->left, description->right, d_layout->type, (int)algorithm->data[0], *alpha, *beta};
    emulator_enqueue(stream, run_product, &product, sizeof product);
    return 0;
}

// ---- NCCL: sums when the group ends ----

static struct sum {
    const float *from;
    float *to;
    size_t count;
    int type;
} sums[16];
static int sum_count;
status ncclCommInitAll(void **communicators, int count, const int *devices) {
    (void)devices;
    for (int at = 0; at < count; at++) communicators[at] = malloc(1);
    return 0;
}
status ncclCommDestroy(void *communicator) {
    free(communicator);
    return 0;
}
status ncclGroupStart(void) {
    sum_count = 0;
    return 0;
}
status ncclAllReduce(const void *from, void *to, size_t count, int type, int operation, void *communicator, void *stream) {
    (void)communicator, (void)stream;
    // ncclFloat32 or ncclFloat64, ncclSum.
    if ((type != 7 && type != 8) || operation != 0) return 4;
    sums[sum_count++] = (struct sum){from, to, count, type};
    return 0;
}
status ncclGroupEnd(void) {
    for (size_t at = 0; at < sums[0].count; at++) {
        double total = 0;
        for (int part = 0; part < sum_count; part++)
            total += sums[part].type == 8 ? ((const double *)sums[part].from)[at] : (double)sums[part].from[at];
        for (int part = 0; part < sum_count; part++) {
            if (sums[part].type == 8)
                ((double *)sums[part].to)[at] = total;
            else
                sums[part].to[at] = (float)total;
        }
    }
    return 0;
}
