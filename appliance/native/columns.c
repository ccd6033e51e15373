/* Columns of the flow log: dictionaries of few values, and Bloom filters.

   Twins: appliance/flowlog/parquet/encoding.py and bloom.py. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hashing.h"

enum { AHEAD = 64 };

/* The library answers with this what it was built from: INTERFACE in library.py. */
int64_t kernels_interface(void)
{
    return 1;
}

/* Find the distinct values of a column, in the order in which they appear first, and the place of
   each row's value among them. `distinct` has room for `most` values, `codes` for n; returns how
   many there are, -1 for more than `most` (at most 65,536), -2 without memory. */
#define FEW_VALUES_BY_TABLE(bits)                                                                  \
    int64_t few_values_##bits(const uint##bits##_t *values, int64_t n, uint##bits##_t *distinct,   \
                              uint16_t *codes, int64_t most, uint64_t seed)                        \
    {                                                                                              \
        (void)seed;                                                                                \
        uint32_t *place = calloc((size_t)1 << bits, sizeof *place);                                \
        if (!place)                                                                                \
            return -2;                                                                             \
        int64_t count = 0;                                                                         \
        for (int64_t row = 0; row < n; row++) {                                                    \
            uint32_t code = place[values[row]];                                                    \
            if (__builtin_expect(!code, 0)) {                                                      \
                if (count == most) {                                                               \
                    count = -1;                                                                    \
                    break;                                                                         \
                }                                                                                  \
                distinct[count] = values[row];                                                     \
                code = place[values[row]] = (uint32_t)++count;                                     \
            }                                                                                      \
            codes[row] = (uint16_t)(code - 1);                                                     \
        }                                                                                          \
        free(place);                                                                               \
        return count;                                                                              \
    }

FEW_VALUES_BY_TABLE(8)
FEW_VALUES_BY_TABLE(16)

/* The same by a hash table that is at most half full. The slots of some rows are known before they
   are looked into, so that the processor fetches them at the same time. */
#define FEW_VALUES_BY_HASH(bits)                                                                   \
    int64_t few_values_##bits(const uint##bits##_t *values, int64_t n, uint##bits##_t *distinct,   \
                              uint16_t *codes, int64_t most, uint64_t seed)                        \
    {                                                                                              \
        struct slot {                                                                              \
            uint##bits##_t value;                                                                  \
            uint32_t place;                                                                        \
        } *table;                                                                                  \
        uint64_t size = 16, slots[AHEAD];                                                          \
        while (size < (most <= 256 ? 8 : 2) * (uint64_t)most)                                      \
            size *= 2;                                                                             \
        table = calloc(size, sizeof *table);                                                       \
        if (!table)                                                                                \
            return -2;                                                                             \
        int64_t count = 0;                                                                         \
        for (int64_t start = 0; start < n; start += AHEAD) {                                       \
            int64_t rows = n - start < AHEAD ? n - start : AHEAD;                                  \
            for (int64_t row = 0; row < rows; row++) {                                             \
                slots[row] = mix(values[start + row], seed) & (size - 1);                          \
                __builtin_prefetch(table + slots[row]);                                            \
            }                                                                                      \
            for (int64_t row = 0; row < rows; row++) {                                             \
                uint##bits##_t value = values[start + row];                                        \
                struct slot *slot = table + slots[row];                                            \
                while (slot->place && slot->value != value)                                        \
                    slot = slot == table + size - 1 ? table : slot + 1;                            \
                if (__builtin_expect(!slot->place, 0)) {                                           \
                    if (count == most) {                                                           \
                        free(table);                                                               \
                        return -1;                                                                 \
                    }                                                                              \
                    distinct[count] = slot->value = value;                                         \
                    slot->place = (uint32_t)++count;                                               \
                }                                                                                  \
                codes[start + row] = (uint16_t)(slot->place - 1);                                  \
            }                                                                                      \
        }                                                                                          \
        free(table);                                                                               \
        return count;                                                                              \
    }

FEW_VALUES_BY_HASH(32)
FEW_VALUES_BY_HASH(64)

/* Estimate how many distinct values there are (linear counting, Whang et al. 1990); `bits` is a
   zeroed bitmap of `words` words, a power of two. */
int64_t estimate_distinct(const uint64_t *values, int64_t n, uint64_t *bits, int64_t words,
                          uint64_t seed)
{
    uint64_t places = (uint64_t)words * 64;
    for (int64_t row = 0; row < n; row++) {
        uint64_t place = mix(values[row], seed) & (places - 1);
        bits[place >> 6] |= 1ULL << (place & 63);
    }
    uint64_t used = 0;
    for (int64_t word = 0; word < words; word++)
        used += (uint64_t)__builtin_popcountll(bits[word]);
    if (used == places)
        return n;
    return (int64_t)ceil(-(double)places * log1p(-(double)used / (double)places));
}

/* XXH64 of a value's 8 octets, lowest first, seed 0. */
static inline uint64_t xxh64(uint64_t value)
{
    const uint64_t one = 11400714785074694791ULL, two = 14029467366897019727ULL,
                   three = 1609587929392839161ULL, four = 9650029242287828579ULL,
                   five = 2870177450012600261ULL;
    uint64_t hash = value * two;
    hash = ((hash << 31) | (hash >> 33)) * one;
    hash ^= five + 8;
    hash = ((hash << 27) | (hash >> 37)) * one + four;
    hash ^= hash >> 33;
    hash *= two;
    hash ^= hash >> 29;
    hash *= three;
    return hash ^ (hash >> 32);
}

typedef uint32_t block_words __attribute__((vector_size(32), aligned(4)));

/* Put values into a split-block Bloom filter (apache/parquet-format, BloomFilter.md) of so many
   blocks of 8 words; putting one in again changes nothing. */
#ifdef __x86_64__
__attribute__((target_clones("avx2", "default")))
#endif
void fill_filter(const uint64_t *values, int64_t n, uint32_t *filter, int64_t blocks)
{
    const block_words salts = {0x47B6137B, 0x44974D91, 0x8824AD5B, 0xA2B7289D,
                               0x705495C7, 0x2DF1424B, 0x9EFC4947, 0x5C6BFB31};
    const block_words one = {1, 1, 1, 1, 1, 1, 1, 1};
    block_words *all = (block_words *)filter;
    for (int64_t row = 0; row < n; row++) {
        uint64_t hash = xxh64(values[row]);
        all[(hash >> 32) * (uint64_t)blocks >> 32] |= one << ((uint32_t)hash * salts >> 27);
    }
}
