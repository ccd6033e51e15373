/* Sums of rows by their values in several columns.

   Twin: appliance/plugins/rollups/grouping.py. */

#include <stdlib.h>
#include <string.h>

#include "hashing.h"

enum { BLOCK = 128, MEASURES = 3, FIRST_SLOTS = 1 << 14 };

/* No sum is larger: LARGEST_SUM of the twin. */
static const uint64_t largest_sum = 1ULL << 60;

/* Numbers of a column or measure in one part of the rows: `kind` is their size in octets, negative
   for signed ones, `stride` the octets from one to the next, 0 for one number of all rows. */
struct source {
    const char *values;
    int64_t stride, kind;
};

/* Where a column is in the keys: its value above the lowest one, shifted, in one of their words. A
   column that does not vary has no bits and is not there. */
struct place {
    uint64_t low;
    int64_t word, shift, bits;
};

/* A slot is 0, or the number of a group, counted from 1. A group is the words of its key, then its
   sums. */
struct table {
    uint32_t *slots;
    uint64_t mask, *groups;
    int64_t count, words;
};

/* Rows that are looked up together. The words of their keys stand apart. */
struct block {
    uint64_t *keys;
    struct source measures[MEASURES];
    int64_t start, rows;
};

#define WIDEN(type, wide)                                                                          \
    for (int64_t row = 0; row < rows; row++) {                                                     \
        type value;                                                                                \
        memcpy(&value, values + row * stride, sizeof value);                                       \
        uint64_t ordered = (uint64_t)(wide)value + offset;                                         \
        low = ordered < low ? ordered : low;                                                       \
        high = ordered > high ? ordered : high;                                                    \
    }                                                                                              \
    break

/* Widen a range by the values of one part. Signed ones are ordered as unsigned ones are when half
   of the range is added. */
static void widen(const struct source *source, int64_t rows, uint64_t *lowest, uint64_t *highest)
{
    const char *values = source->values;
    const int64_t stride = source->stride;
    const uint64_t offset = source->kind < 0 ? 1ULL << 63 : 0;
    uint64_t low = *lowest, high = *highest;
    rows = stride ? rows : 1;
    switch (source->kind) {
    case 1: WIDEN(uint8_t, uint64_t);
    case 2: WIDEN(uint16_t, uint64_t);
    case 4: WIDEN(uint32_t, uint64_t);
    case 8: WIDEN(uint64_t, uint64_t);
    case -1: WIDEN(int8_t, int64_t);
    case -2: WIDEN(int16_t, int64_t);
    case -4: WIDEN(int32_t, int64_t);
    case -8: WIDEN(int64_t, int64_t);
    }
    *lowest = low;
    *highest = high;
}

/* Put columns into as few words as it takes, the widest first; returns how many. */
static int64_t lay_out(struct place *places, int64_t columns)
{
    int64_t words = 1;
    for (int64_t bits = 64; bits > 0; bits--)
        for (int64_t column = 0; column < columns; column++) {
            if (places[column].bits != bits)
                continue;
            int64_t word = -1, used = 64;
            while (used + bits > 64) {
                word++;
                used = 0;
                for (int64_t other = 0; other < columns; other++)
                    used += places[other].word == word ? places[other].bits : 0;
            }
            places[column].word = word;
            places[column].shift = used;
            words = word < words ? words : word + 1;
        }
    return words;
}

/* Find where each column is in the keys of all rows, and how many words these have. `sources` has
   the columns and then three measures of the first part, then of the next one; `lengths` the rows
   of each. */
int64_t plan_keys(const struct source *sources, const int64_t *lengths, int64_t parts,
                  int64_t columns, struct place *places)
{
    for (int64_t column = 0; column < columns; column++) {
        uint64_t low = ~0ULL, high = 0;
        for (int64_t part = 0; part < parts; part++)
            widen(sources + part * (columns + MEASURES) + column, lengths[part], &low, &high);
        const uint64_t offset = sources[column].kind < 0 ? 1ULL << 63 : 0;
        const int64_t bits = high > low ? 64 - __builtin_clzll(high - low) : 0;
        places[column] = (struct place){low - offset, -1, 0, bits};
    }
    return lay_out(places, columns);
}

#define PACK(type, wide)                                                                           \
    for (int64_t row = 0; row < rows; row++) {                                                     \
        type value;                                                                                \
        memcpy(&value, values + row * stride, sizeof value);                                       \
        keys[row] |= ((uint64_t)(wide)value - low) << shift;                                       \
    }                                                                                              \
    break

static void pack(const struct source *source, const struct place *place, int64_t start,
                 int64_t rows, uint64_t *keys)
{
    const char *values = source->values + start * source->stride;
    const int64_t stride = source->stride, shift = place->shift;
    const uint64_t low = place->low;
    switch (source->kind) {
    case 1: PACK(uint8_t, uint64_t);
    case 2: PACK(uint16_t, uint64_t);
    case 4: PACK(uint32_t, uint64_t);
    case 8: PACK(uint64_t, uint64_t);
    case -1: PACK(int8_t, int64_t);
    case -2: PACK(int16_t, int64_t);
    case -4: PACK(int32_t, int64_t);
    case -8: PACK(int64_t, int64_t);
    }
}

static inline uint64_t measured(const struct source *source, int64_t row)
{
    uint64_t value;
    memcpy(&value, source->values + row * source->stride, sizeof value);
    return value < largest_sum ? value : largest_sum;
}

/* Hash a key whose words stand so far apart. */
static inline __attribute__((always_inline)) uint64_t hash_of(const uint64_t *key, int64_t apart,
                                                              int64_t words, uint64_t seed)
{
    uint64_t hash = mix(key[0], seed);
    for (int64_t word = 1; word < words; word++)
        hash = mix(key[word * apart] ^ hash, seed);
    return hash;
}

/* Replace a table that gets more than half full by one for so many rows. */
static int64_t make_room(struct table *table, int64_t rows, uint64_t seed)
{
    uint64_t size = table->mask + 1, width = (uint64_t)(table->words + MEASURES);
    while (size < 2 * (uint64_t)rows)
        size *= 2;
    free(table->slots);
    table->slots = calloc(size, sizeof *table->slots);
    if (!table->slots)
        return -2;
    table->mask = size - 1;
    for (int64_t number = 0; number < table->count; number++) {
        uint64_t at = hash_of(table->groups + (uint64_t)number * width, 1, table->words, seed);
        for (at &= table->mask; table->slots[at]; at = (at + 1) & table->mask)
            ;
        table->slots[at] = (uint32_t)(number + 1);
    }
    return 0;
}

/* Add the rows of a block to their groups. Slots, then groups are fetched into the cache for all
   of them before the first is needed. */
static inline __attribute__((always_inline)) void
add_block(const struct block *block, struct table *table, int64_t words, uint64_t seed)
{
    const uint64_t mask = table->mask, width = (uint64_t)(words + MEASURES);
    uint32_t *const slots = table->slots;
    uint64_t *const groups = table->groups, places[BLOCK];
    int64_t count = table->count;
    for (int64_t row = 0; row < block->rows; row++) {
        places[row] = hash_of(block->keys + row, BLOCK, words, seed) & mask;
        __builtin_prefetch(slots + places[row], 1);
    }
    for (int64_t row = 0; row < block->rows; row++) {
        uint32_t number = slots[places[row]];
        __builtin_prefetch(groups + (number ? number - 1 : 0) * width, 1);
    }
    for (int64_t row = 0; row < block->rows; row++) {
        uint64_t at = places[row], *group, different;
        for (;; at = (at + 1) & mask) {
            different = 0;
            if (!slots[at]) {
                group = groups + (uint64_t)count * width;
                for (int64_t word = 0; word < words; word++)
                    group[word] = block->keys[word * BLOCK + row];
                memset(group + words, 0, MEASURES * sizeof *group);
                slots[at] = (uint32_t)++count;
                break;
            }
            group = groups + (slots[at] - 1) * width;
            for (int64_t word = 0; word < words; word++)
                different |= group[word] ^ block->keys[word * BLOCK + row];
            if (!different)
                break;
        }
        for (int64_t measure = 0; measure < MEASURES; measure++) {
            uint64_t sum = group[words + measure];
            sum += measured(block->measures + measure, block->start + row);
            group[words + measure] = sum < largest_sum ? sum : largest_sum;
        }
    }
    table->count = count;
}

/* Add one part of the rows, of `all`; returns 0, or -2 without memory. */
static int64_t add_part(const struct source *sources, int64_t rows, int64_t all,
                        const struct place *places, int64_t columns, struct block *block,
                        struct table *table, uint64_t seed)
{
    const int64_t words = table->words;
    memcpy(block->measures, sources + columns, sizeof block->measures);
    for (block->start = 0; block->start < rows; block->start += BLOCK) {
        block->rows = rows - block->start < BLOCK ? rows - block->start : BLOCK;
        if (2 * (uint64_t)(table->count + block->rows) > table->mask &&
            make_room(table, all, seed))
            return -2;
        memset(block->keys, 0, (size_t)words * BLOCK * sizeof *block->keys);
        for (int64_t column = 0; column < columns; column++)
            if (places[column].bits)
                pack(sources + column, places + column, block->start, block->rows,
                     block->keys + places[column].word * BLOCK);
        if (words == 1)
            add_block(block, table, 1, seed);
        else if (words == 2)
            add_block(block, table, 2, seed);
        else
            add_block(block, table, words, seed);
    }
    return 0;
}

/* Group rows whose keys are planned. `groups` has room for as many groups as there are rows, fewer
   than 2^32; they are written in the order in which they appear first. Returns how many there are,
   -2 without memory. */
int64_t group_rows(const struct source *sources, const int64_t *lengths, int64_t parts,
                   const struct place *places, int64_t columns, int64_t words, uint64_t *groups,
                   uint64_t seed)
{
    struct block block = {.keys = malloc((size_t)words * BLOCK * sizeof(uint64_t))};
    struct table table = {.groups = groups, .words = words, .mask = FIRST_SLOTS - 1};
    int64_t failed, all = 0;
    for (int64_t part = 0; part < parts; part++)
        all += lengths[part];
    while (table.mask > 15 && (int64_t)table.mask > 4 * all)
        table.mask /= 2;
    table.slots = calloc(table.mask + 1, sizeof *table.slots);
    failed = block.keys && table.slots ? 0 : -2;
    for (int64_t part = 0; part < parts && !failed; part++)
        failed = add_part(sources + part * (columns + MEASURES), lengths[part], all, places,
                          columns, &block, &table, seed);
    free(block.keys);
    free(table.slots);
    return failed ? failed : table.count;
}

#define UNPACK(size)                                                                               \
    for (int64_t group = 0; group < count; group++) {                                              \
        uint##size##_t value =                                                                     \
            (uint##size##_t)((words[group * width] >> place->shift & mask) + place->low);          \
        memcpy(values + group * (size / 8), &value, sizeof value);                                 \
    }                                                                                              \
    break

static void unpack(const uint64_t *groups, int64_t count, int64_t width,
                   const struct place *place, int64_t size, char *values)
{
    const uint64_t *words = groups + place->word;
    const uint64_t mask = ~0ULL >> (64 - place->bits);
    switch (size) {
    case 1: UNPACK(8);
    case 2: UNPACK(16);
    case 4: UNPACK(32);
    case 8: UNPACK(64);
    }
}

/* Write the columns of the groups, which are of so many octets each, but not those that do not
   vary; and their sums, each measure for itself. */
void unpack_groups(const uint64_t *groups, int64_t count, int64_t words,
                   const struct place *places, int64_t columns, const int64_t *sizes,
                   char *const *values, int64_t *sums)
{
    const int64_t width = words + MEASURES;
    for (int64_t column = 0; column < columns; column++)
        if (places[column].bits)
            unpack(groups, count, width, places + column, sizes[column], values[column]);
    for (int64_t measure = 0; measure < MEASURES; measure++)
        for (int64_t group = 0; group < count; group++)
            sums[measure * count + group] = (int64_t)groups[group * width + words + measure];
}
