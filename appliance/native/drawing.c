/* Priority sampling of flows: who is above the threshold of its stratum, and copies of those.

   Twin: appliance/flowlog/samples; the same numbers to the last bit, so it is compiled without
   contracted multiply-adds. */

#include <stdint.h>
#include <string.h>

/* What a flow is worth beside its octets, as OCTETS_A_FLOW. */
static const double octets_a_flow = 5000.0;

/* RecordKind.FLOW. */
static const uint8_t flow_record = 0;

/* A column: one value for each row, or, with a stride of 0, one of all. */
#define VALUE(column, row) (column)[(row) * column##_stride]

/* So many rows at a time; their numbers stay in the first cache. */
enum { STEP = 256 };

_Static_assert(sizeof(void *) == 8, "addresses come as numbers of 64 bits");

/* What draw() works on; _Call in drawing.py is the same. `columns` are addresses, in the order of
   DRAWN_BY. Of the strata known, `n_known` of at most `most`, `keys` are ascending, `codes` what each
   is called, `thresholds` by that, 0 behind those known. Of what was found there is room for n. */
struct draw_call {
    const uint8_t *kind;
    const uint64_t *octets, *flows;
    const double *rate;
    const uint64_t *high, *low;
    const uint8_t *direction;
    int64_t kind_stride, octets_stride, flows_stride, rate_stride, high_stride, low_stride,
        direction_stride;
    const uint64_t *places; /* of each row, or NULL: they follow first_place */
    uint64_t first_place;
    int64_t first, n;
    uint64_t seed;
    uint64_t *keys;
    int64_t *codes;
    const double *thresholds;
    int64_t n_known, most;
    int64_t *rows;
    double *priorities;
    int64_t *found;
    int64_t n_found;
};

/* Return where in ascending keys one is, or would be. */
static int64_t place_of(const uint64_t *keys, int64_t count, uint64_t key)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Return the code of a stratum, -1 for one that is met for the first time without room for it. */
static int64_t code_of(struct draw_call *call, uint64_t high, uint64_t low, uint8_t direction)
{
    uint64_t key = high * 0x9E3779B97F4A7C15ULL;
    key = (key ^ low) * 0xBF58476D1CE4E5B9ULL;
    key = (key ^ direction) * 0x94D049BB133111EBULL; /* as stratum_keys() */
    uint64_t *keys = call->keys;
    int64_t *codes = call->codes, place = place_of(keys, call->n_known, key);
    if (place == call->n_known || keys[place] != key) {
        if (call->n_known == call->most)
            return -1;
        int64_t behind = call->n_known - place;
        memmove(keys + place + 1, keys + place, behind * sizeof *keys);
        memmove(codes + place + 1, codes + place, behind * sizeof *codes);
        keys[place] = key;
        codes[place] = call->n_known++;
    }
    return codes[place];
}

/* As uniform(). */
static inline double uniform_of(uint64_t place, uint64_t seed)
{
    uint64_t bits = place * 0x9E3779B97F4A7C15ULL + seed;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ULL;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBULL;
    bits ^= bits >> 31;
    return (double)(int64_t)((bits >> 11) + 1) * 0x1p-53;
}

static inline double size_of(uint64_t octets, double scale, uint64_t flows)
{
    return (double)octets * scale + octets_a_flow * (double)(flows > 1 ? flows : 1);
}

static inline double scale_of(double rate)
{
    return rate >= 1 && rate <= 4294967296.0 ? rate : 1;
}

#define COLUMN(type, name) const type *name = call->name; int64_t name##_stride = call->name##_stride

/* Find the flows from `first` on whose priority is above the threshold of their stratum. Strata met
   for the first time are put among those known. Returns n, or where to go on with room for more. */
int64_t draw(struct draw_call *call)
{
    COLUMN(uint8_t, kind);
    COLUMN(uint64_t, octets);
    COLUMN(uint64_t, flows);
    COLUMN(double, rate);
    COLUMN(uint64_t, high);
    COLUMN(uint64_t, low);
    COLUMN(uint8_t, direction);
    int64_t count = call->n_found, row = call->first, n = call->n;
    const uint64_t *places = call->places;
    uint64_t seed = call->seed, first_place = call->first_place;
    int is_one_rate = !rate_stride && !flows_stride;
    /* The records of a datagram are of one exporter: what its directions are is kept. `run` tells
       exporters apart, so that nothing has to be cleared. */
    int64_t known[256];
    double known_limit[256];
    uint32_t known_in[256] = {0}, run = 0;
    uint64_t last_high = 0, last_low = 0;
    /* One loop for each number of some rows, without branches that depend on values, so that the
       processor works on several rows at once. */
    double limit[STEP], uniform[STEP], size[STEP];
    int64_t code[STEP];
    uint16_t likely[STEP];
    while (row < n) {
        int64_t step = n - row < STEP ? n - row : STEP, i;
        for (i = 0; i < step; i++) {
            uint64_t of_high = VALUE(high, row + i), of_low = VALUE(low, row + i);
            uint8_t of_direction = VALUE(direction, row + i);
            if (!run || of_high != last_high || of_low != last_low) {
                run++;
                last_high = of_high;
                last_low = of_low;
            }
            if (known_in[of_direction] != run) {
                int64_t of_all = code_of(call, of_high, of_low, of_direction);
                if (of_all < 0)
                    break;
                known[of_direction] = of_all;
                known_limit[of_direction] = call->thresholds[of_all] * (1 - 0x1p-50);
                known_in[of_direction] = run;
            }
            code[i] = known[of_direction];
            limit[i] = known_limit[of_direction];
        }
        int is_full = i < step;
        step = i;
        for (i = 0; places && i < step; i++)
            uniform[i] = uniform_of(places[row + i], seed);
        for (i = 0; !places && i < step; i++)
            uniform[i] = uniform_of(first_place + (uint64_t)(row + i), seed);
        if (is_one_rate) {
            double scale = scale_of(*rate);
            uint64_t counted = *flows;
            for (i = 0; i < step; i++)
                size[i] = size_of(VALUE(octets, row + i), scale, counted);
        } else {
            for (i = 0; i < step; i++)
                size[i] = size_of(VALUE(octets, row + i), scale_of(VALUE(rate, row + i)),
                                  VALUE(flows, row + i));
        }
        /* Nearly no row passes; a product that rounds the other way must not decide. */
        int64_t n_likely = 0;
        for (i = 0; i < step; i++) {
            likely[n_likely] = (uint16_t)i;
            n_likely += size[i] >= limit[i] * uniform[i];
        }
        for (int64_t at = 0; at < n_likely; at++) {
            i = likely[at];
            double priority = size[i] / uniform[i];
            if (priority > call->thresholds[code[i]] && VALUE(kind, row + i) == flow_record) {
                call->rows[count] = row + i;
                call->found[count] = code[i];
                call->priorities[count++] = priority;
            }
        }
        row += step;
        if (is_full)
            break;
    }
    call->n_found = count;
    return row;
}

#define COPY(type, low_type)                                                                       \
    do {                                                                                           \
        const type *from = (const type *)(uintptr_t)sources[column];                               \
        low_type *to = (low_type *)(uintptr_t)targets[column];                                     \
        type shared = (type)common[column], differs = 0;                                           \
        for (int64_t i = 0; i < n; i++) {                                                          \
            type value = from[rows[i]];                                                            \
            differs |= value ^ shared;                                                             \
            to[slots[i]] = (low_type)value;                                                        \
        }                                                                                          \
        differing[column] = differs;                                                               \
    } while (0)

#define COMPARE(type)                                                                              \
    do {                                                                                           \
        const type *from = (const type *)(uintptr_t)sources[column];                               \
        type shared = (type)common[column], differs = 0;                                           \
        for (int64_t i = 0; i < n; i++)                                                            \
            differs |= from[rows[i]] ^ shared;                                                     \
        differing[column] = differs;                                                               \
    } while (0)

/* Copy rows of some columns, given by their addresses and octets a value, to slots of others, which
   have the low octets only, or none. `differing` are the bits of each column in which a value is
   not what all have in common: where these are more than are kept, the column is to be copied
   again with room for them. */
void copy_rows(const uint64_t *sources, const int64_t *widths, const uint64_t *targets,
               const int64_t *low_widths, const uint64_t *common, uint64_t *differing,
               int64_t n_columns, const int64_t *rows, const int64_t *slots, int64_t n)
{
    for (int64_t column = 0; column < n_columns; column++) {
        switch (widths[column] * 16 + low_widths[column]) {
        case 0x10: COMPARE(uint8_t); break;
        case 0x20: COMPARE(uint16_t); break;
        case 0x40: COMPARE(uint32_t); break;
        case 0x80: COMPARE(uint64_t); break;
        case 0x11: COPY(uint8_t, uint8_t); break;
        case 0x21: COPY(uint16_t, uint8_t); break;
        case 0x22: COPY(uint16_t, uint16_t); break;
        case 0x41: COPY(uint32_t, uint8_t); break;
        case 0x42: COPY(uint32_t, uint16_t); break;
        case 0x44: COPY(uint32_t, uint32_t); break;
        case 0x81: COPY(uint64_t, uint8_t); break;
        case 0x82: COPY(uint64_t, uint16_t); break;
        case 0x84: COPY(uint64_t, uint32_t); break;
        case 0x88: COPY(uint64_t, uint64_t); break;
        }
    }
}
