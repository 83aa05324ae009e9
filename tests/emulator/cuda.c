// A CUDA driver without a GPU, for tests: the functions of libcuda that tamis calls, on the processor.
//
// A block's threads are fibers, so barriers, shuffles and matrix instructions mean what they mean on the chip; asynchronous copies happen
// when they are waited for, not before; new memory is full of NaN; a write behind an allocation is found when it is freed. Streams run
// at once, in order. TAMIS_EMULATED_MEMORY is the size of each memory (4 GiB), TAMIS_EMULATED_GPUS their number (3).

#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "prelude.h"

typedef int status;
enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };
enum { MAX_THREADS = 1024, STACK = 64 << 10, SHARED_BYTES = 227 << 10, MAX_COPIES = 512, GUARD = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void fail(const char *what) {
    fprintf(stderr, "emulator: %s\n", what);
    abort();
}

// ---- a block ----

struct copy {
    void *to;
    const void *from;
    int valid;
};
struct fiber {
    ucontext_t begin;
    jmp_buf at;
    int started, done, waits;
    int copies, begun;
    struct copy copy[MAX_COPIES];
};
static struct fiber fibers[MAX_THREADS];
static char *stacks;
static u32 exchanges[MAX_THREADS / 32][32][16];
static unsigned char shared_memory[SHARED_BYTES] __attribute__((aligned(128)));
static struct emulator machine;
static jmp_buf scheduler;
static int alive, warp_alive[MAX_THREADS / 32], at_block, at_warp[MAX_THREADS / 32], block_threads;
static void (*body)(void *);
static void *body_arguments;

static void rest(void) {
    struct fiber *fiber = &fibers[machine.thread];
    if (_setjmp(fiber->at) == 0) _longjmp(scheduler, 1);
}
static void release(int from, int until, int kind) {
    for (int at = from; at < until; at++)
        if (fibers[at].waits == kind) fibers[at].waits = 0;
}
static void sync_all(void) {
    fibers[machine.thread].waits = 1;
    if (++at_block == alive) {
        at_block = 0;
        release(0, block_threads, 1);
    }
    rest();
}
static void sync_one_warp(void) {
    int warp = machine.thread / 32;
    fibers[machine.thread].waits = 2;
    if (++at_warp[warp] == warp_alive[warp]) {
        at_warp[warp] = 0;
        release(warp * 32, warp * 32 + 32, 2);
    }
    rest();
}
static u32 (*exchange(void))[16] { return exchanges[machine.thread / 32]; }
static void later(void *to, const void *from, int valid) {
    struct fiber *fiber = &fibers[machine.thread];
    if (fiber->copies == MAX_COPIES) fail("too many copies on their way");
    if ((uintptr_t)to % 16 || (uintptr_t)from % 16) fail("a copy of 16 bytes is not aligned");
    fiber->copy[fiber->copies++] = (struct copy){to, from, valid};
}
static void begin_copies(void) { fibers[machine.thread].begun = fibers[machine.thread].copies; }
static void finish_copies(void) {
    struct fiber *fiber = &fibers[machine.thread];
    for (int at = 0; at < fiber->begun; at++) {
        if (fiber->copy[at].valid)
            memcpy(fiber->copy[at].to, fiber->copy[at].from, 16);
        else
            memset(fiber->copy[at].to, 0, 16);
    }
    fiber->copies -= fiber->begun;
    memmove(fiber->copy, fiber->copy + fiber->begun, fiber->copies * sizeof(struct copy));
    fiber->begun = 0;
}
// A fiber's whole life: one thread after the other, block by block.
static void live(void) {
    for (;;) {
        body(body_arguments);
        fibers[machine.thread].done = 1;
        alive--;
        warp_alive[machine.thread / 32]--;
        rest();
    }
}
static void run_block(int threads) {
    block_threads = alive = threads;
    at_block = 0;
    for (int at = 0; at < threads; at++) {
        struct fiber *fiber = &fibers[at];
        fiber->done = fiber->waits = fiber->copies = fiber->begun = 0;
        warp_alive[at / 32] = 32;
        at_warp[at / 32] = 0;
    }
    // Blocks begin with another thread each, so that a missing barrier shows.
    static unsigned turn;
    volatile unsigned first = turn++ * 37;
    while (alive > 0) {
        volatile int moved = 0;
        for (volatile int n = 0; n < threads; n++) {
            int at = (n + first) % threads;
            struct fiber *fiber = &fibers[at];
            if (fiber->done || fiber->waits) continue;
            moved = 1;
            machine.thread = at;
            if (_setjmp(scheduler) == 0) {
                if (fiber->started) _longjmp(fiber->at, 1);
                fiber->started = 1;
                getcontext(&fiber->begin);
                fiber->begin.uc_stack.ss_sp = stacks + (size_t)at * STACK;
                fiber->begin.uc_stack.ss_size = STACK;
                makecontext(&fiber->begin, live, 0);
                setcontext(&fiber->begin);
            }
        }
        if (!moved) fail("the threads of a block wait for each other");
    }
}

struct function {
    void (*run)(void *);
    int threads, shared;
};
struct launch {
    struct function *function;
    int blocks[3], threads, shared;
    unsigned char arguments[256];
};
static void run_launch(void *data) {
    struct launch *launch = data;
    pthread_mutex_lock(&lock);
    if (!stacks) stacks = malloc((size_t)MAX_THREADS * STACK);
    body = launch->function->run;
    body_arguments = launch->arguments;
    memcpy(machine.blocks, launch->blocks, sizeof machine.blocks);
    for (int z = 0; z < launch->blocks[2]; z++)
        for (int y = 0; y < launch->blocks[1]; y++)
            for (int x = 0; x < launch->blocks[0]; x++) {
                machine.block[0] = x, machine.block[1] = y, machine.block[2] = z;
                memset(shared_memory, 0xff, launch->shared);
                run_block(launch->threads);
            }
    pthread_mutex_unlock(&lock);
}

// ---- streams and graphs ----

struct work {
    void (*run)(void *);
    void *data;
};
struct list {
    struct work *work;
    int count;
};
struct stream {
    struct list *recording;
};
// Does the work, or notes it down while the stream is recorded. Also for the other libraries.
void emulator_enqueue(struct stream *stream, void (*run)(void *), const void *data, size_t size) {
    if (!stream->recording) {
        run((void *)data);
        return;
    }
    struct list *list = stream->recording;
    list->work = realloc(list->work, (list->count + 1) * sizeof(struct work));
    void *copy = malloc(size);
    memcpy(copy, data, size);
    list->work[list->count++] = (struct work){run, copy};
}
static void run_list(struct list *list) {
    for (int at = 0; at < list->count; at++) list->work[at].run(list->work[at].data);
}

status cuStreamCreate(struct stream **stream, unsigned flags) {
    (void)flags;
    *stream = calloc(1, sizeof **stream);
    return OK;
}
status cuStreamSynchronize(struct stream *stream) { return stream->recording ? 900 : OK; }
status cuStreamDestroy_v2(struct stream *stream) {
    free(stream);
    return OK;
}
status cuStreamBeginCapture_v2(struct stream *stream, int mode) {
    (void)mode;
    stream->recording = calloc(1, sizeof(struct list));
    return OK;
}
status cuStreamEndCapture(struct stream *stream, struct list **graph) {
    *graph = stream->recording;
    stream->recording = 0;
    return OK;
}
status cuGraphInstantiateWithFlags(struct list **executable, struct list *graph, u64 flags) {
    (void)flags;
    *executable = graph;
    return OK;
}
status cuGraphLaunch(struct list *executable, struct stream *stream) {
    (void)stream;
    run_list(executable);
    return OK;
}
status cuGraphDestroy(struct list *graph) {
    (void)graph;
    return OK;
}
status cuGraphExecDestroy(struct list *list) {
    for (int at = 0; at < list->count; at++) free(list->work[at].data);
    free(list->work);
    free(list);
    return OK;
}

// ---- devices and memory ----

static size_t memory_size(void) {
    const char *size = getenv("TAMIS_EMULATED_MEMORY");
    return size ? strtoull(size, 0, 10) : (size_t)4 << 30;
}
static size_t used[16];
static __thread int current;

status cuInit(unsigned flags) {
    (void)flags;
    return OK;
}
status cuDeviceGetCount(int *count) {
    const char *gpus = getenv("TAMIS_EMULATED_GPUS");
    *count = gpus ? atoi(gpus) : 3;
    return OK;
}
status cuDeviceGet(int *device, int number) {
    *device = number;
    return OK;
}
status cuDeviceGetName(char *name, int length, int device) {
    (void)device;
    snprintf(name, length, "emulated GPU");
    return OK;
}
status cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    // Compute capability; most shared memory of a block.
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 97 ? SHARED_BYTES : 0;
    return OK;
}
status cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = (void *)(uintptr_t)(device + 1);
    return OK;
}
status cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    return OK;
}
status cuCtxSetCurrent(void *context) {
    current = (int)(uintptr_t)context - 1;
    return OK;
}
status cuCtxSynchronize(void) { return OK; }
status cuMemGetInfo_v2(size_t *left, size_t *total) {
    *total = memory_size();
    *left = *total - used[current];
    return OK;
}
struct header {
    size_t size;
    int device;
    char filler[128 - sizeof(size_t) - sizeof(int)];
};
status cuMemAlloc_v2(u64 *address, size_t size) {
    pthread_mutex_lock(&lock);
    status result = OUT_OF_MEMORY;
    if (used[current] + size <= memory_size()) {
        struct header *header = 0;
        if (posix_memalign((void **)&header, 256, sizeof *header + size + GUARD)) fail("no memory");
        header->size = size;
        header->device = current;
        used[current] += size;
        memset(header + 1, 0xff, size);
        memset((char *)(header + 1) + size, 0xa5, GUARD);
        *address = (u64)(uintptr_t)(header + 1);
        result = OK;
    }
    pthread_mutex_unlock(&lock);
    return result;
}
status cuMemFree_v2(u64 address) {
    struct header *header = (struct header *)(uintptr_t)address - 1;
    pthread_mutex_lock(&lock);
    const unsigned char *guard = (const unsigned char *)(header + 1) + header->size;
    for (int at = 0; at < GUARD; at++)
        if (guard[at] != 0xa5) fail("something wrote behind an allocation");
    used[header->device] -= header->size;
    pthread_mutex_unlock(&lock);
    free(header);
    return OK;
}

struct memory_work {
    void *to;
    const void *from;
    size_t size;
    int value;
};
static void copy_memory(void *data) {
    struct memory_work *work = data;
    memcpy(work->to, work->from, work->size);
}
static void set_memory(void *data) {
    struct memory_work *work = data;
    memset(work->to, work->value, work->size);
}
status cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t size, struct stream *stream) {
    struct memory_work work = {(void *)(uintptr_t)to, from, size, 0};
    emulator_enqueue(stream, copy_memory, &work, sizeof work);
    return OK;
}
status cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t size, struct stream *stream) {
    struct memory_work work = {to, (const void *)(uintptr_t)from, size, 0};
    emulator_enqueue(stream, copy_memory, &work, sizeof work);
    return OK;
}
status cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t size, struct stream *stream) {
    return cuMemcpyHtoDAsync_v2(to, (const void *)(uintptr_t)from, size, stream);
}
status cuMemsetD8Async(u64 to, unsigned char value, size_t size, struct stream *stream) {
    struct memory_work work = {(void *)(uintptr_t)to, 0, size, value};
    emulator_enqueue(stream, set_memory, &work, sizeof work);
    return OK;
}

// ---- events ----

struct event {
    struct timespec time;
};
status cuEventCreate(struct event **event, unsigned flags) {
    (void)flags;
    *event = calloc(1, sizeof **event);
    return OK;
}
status cuEventRecord(struct event *event, struct stream *stream) {
    (void)stream;
    clock_gettime(CLOCK_MONOTONIC, &event->time);
    return OK;
}
status cuEventSynchronize(struct event *event) {
    (void)event;
    return OK;
}
static float milliseconds(struct event *from, struct event *to) {
    return (to->time.tv_sec - from->time.tv_sec) * 1e3f + (to->time.tv_nsec - from->time.tv_nsec) * 1e-6f;
}
status cuEventElapsedTime(float *time, struct event *from, struct event *to) {
    *time = milliseconds(from, to);
    return OK;
}
status cuEventElapsedTime_v2(float *time, struct event *from, struct event *to) {
    return cuEventElapsedTime(time, from, to);
}
status cuEventDestroy_v2(struct event *event) {
    free(event);
    return OK;
}

// ---- modules: the image is the path of a library that the emulated NVRTC made ----

status cuModuleLoadData(void **module, const void *image) {
    *module = dlopen(image, RTLD_NOW | RTLD_LOCAL);
    if (!*module) return INVALID;
    unlink(image);
    struct emulator **lent = dlsym(*module, "emulator");
    machine.shared = shared_memory;
    machine.sync_block = sync_all;
    machine.sync_warp = sync_one_warp;
    machine.exchange = exchange;
    machine.copy_later = later;
    machine.copies_begin = begin_copies;
    machine.copies_done = finish_copies;
    *lent = &machine;
    return OK;
}
status cuModuleUnload(void *module) {
    (void)module;
    return OK;
}
status cuModuleGetFunction(struct function **function, void *module, const char *name) {
    char threads[128];
    void *run = dlsym(module, name);
    snprintf(threads, sizeof threads, "%s_threads", name);
    if (!run) return NOT_FOUND;
    *function = calloc(1, sizeof **function);
    (*function)->run = (void (*)(void *))run;
    (*function)->threads = *(int *)dlsym(module, threads);
    (*function)->shared = 48 << 10;
    return OK;
}
status cuFuncSetAttribute(struct function *function, int attribute, int value) {
    if (attribute == 8) {
        if (value > SHARED_BYTES) return INVALID;
        function->shared = value;
    }
    return OK;
}
status cuLaunchKernel(struct function *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                      unsigned threads_z, unsigned shared, struct stream *stream, void **parameters, void **extra) {
    if ((int)threads != function->threads || threads_y != 1 || threads_z != 1 || extra) return INVALID;
    if ((int)shared > function->shared || !x || !y || !z || y > 65535 || z > 65535) return INVALID;
    struct launch launch = {function, {(int)x, (int)y, (int)z}, (int)threads, (int)shared, {0}};
    // No structure of arguments is longer, and the caller's is followed by room.
    memcpy(launch.arguments, parameters[0], 128);
    emulator_enqueue(stream, run_launch, &launch, sizeof launch);
    return OK;
}
status cuGetErrorName(status error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : error == INVALID ? "CUDA_ERROR_INVALID_VALUE" : "CUDA_ERROR";
    return OK;
}
status cuGetErrorString(status error, const char **text) { return cuGetErrorName(error, text); }
