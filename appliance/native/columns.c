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
    return 5;
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
#define FEW_VALUES_BY_HASH(width)                                                                  \
    int64_t few_values_##width(const uint##width##_t *values, int64_t n, uint##width##_t *distinct,\
                              uint16_t *codes, int64_t most, uint64_t seed)                        \
    {                                                                                              \
        struct slot {                                                                              \
            uint##width##_t value;                                                                 \
            uint32_t place;                                                                        \
        } *table;                                                                                  \
        unsigned bits = 4;                                                                         \
        while ((most <= 256 ? 8 : 2) * (uint64_t)most > 1ULL << bits)                              \
            bits++;                                                                                \
        uint64_t size = 1ULL << bits, slots[AHEAD];                                                \
        table = calloc(size, sizeof *table);                                                       \
        if (!table)                                                                                \
            return -2;                                                                             \
        int64_t count = 0;                                                                         \
        for (int64_t start = 0; start < n; start += AHEAD) {                                       \
            int64_t rows = n - start < AHEAD ? n - start : AHEAD;                                  \
            for (int64_t row = 0; row < rows; row++) {                                             \
                slots[row] = mix_bits(values[start + row], seed, bits);                            \
                __builtin_prefetch(table + slots[row]);                                            \
            }                                                                                      \
            for (int64_t row = 0; row < rows; row++) {                                             \
                uint##width##_t value = values[start + row];                                       \
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

/* Put codes of so many bits (1, 2, 4, 8 or 16) into octets, lowest bits first, without a branch for
   each; `packed` has room for n / 8 groups of 8 codes, rounded up, and is zeroed. */
void pack_codes(const uint16_t *codes, int64_t n, int64_t bits, uint8_t *packed)
{
    if (bits == 16) {
        memcpy(packed, codes, (size_t)n * 2);
        return;
    }
    const int64_t each = 8 / bits, whole = n / each;
    for (int64_t octet = 0; octet < whole; octet++) {
        unsigned together = 0;
        for (int64_t place = 0; place < each; place++)
            together |= (unsigned)codes[octet * each + place] << place * bits;
        packed[octet] = (uint8_t)together;
    }
    for (int64_t row = whole * each; row < n; row++)
        packed[whole] |= (uint8_t)(codes[row] << (row % each) * bits);
}

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

/* Change rows and columns of 8 octets by 8, in three steps of ever smaller squares. */
static inline void transpose(uint64_t rows[8])
{
    static const uint64_t masks[3] = {0x00000000FFFFFFFF, 0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF};
    for (int step = 0; step < 3; step++) {
        int apart = 4 >> step, bits = 8 * apart;
        for (int row = 0; row < 8; row++) {
            if (row & apart)
                continue;
            uint64_t changed = (rows[row] >> bits ^ rows[row + apart]) & masks[step];
            rows[row + apart] ^= changed;
            rows[row] ^= changed << bits;
        }
    }
}

/* Lay the octets of numbers out in streams, those of equal place together (Encodings.md,
   BYTE_STREAM_SPLIT); `width` streams of n octets, those beyond the size of a number are 0. */
void split_bytes(const uint8_t *values, int64_t size, int64_t n, int64_t width, uint8_t *streams)
{
    int64_t row = 0;
    for (; size == 8 && row + 8 <= n; row += 8) {
        uint64_t square[8];
        memcpy(square, values + row * 8, sizeof square);
        transpose(square);
        for (int octet = 0; octet < 8; octet++)
            memcpy(streams + octet * n + row, square + octet, 8);
    }
    for (int64_t octet = 0; octet < size; octet++)
        for (int64_t rest = row; rest < n; rest++)
            streams[octet * n + rest] = values[rest * size + octet];
    memset(streams + size * n, 0, (size_t)((width - size) * n));
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_zigzag(uint8_t *out, int64_t value)
{
    return put_varint(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

enum { BLOCK = 128, MINIBLOCKS = 4, MINIBLOCK = BLOCK / MINIBLOCKS };

/* Pack a miniblock of numbers of so many bits, lowest bits first. */
static uint8_t *pack_bits(uint8_t *out, const uint64_t *values, unsigned bits)
{
    uint64_t word = 0;
    unsigned used = 0;
    for (int place = 0; place < MINIBLOCK; place++) {
        word |= values[place] << used;
        used += bits;
        if (used >= 64) {
            memcpy(out, &word, 8);
            out += 8;
            used -= 64;
            word = used ? values[place] >> (bits - used) : 0;
        }
    }
    memcpy(out, &word, 8);
    return out + used / 8;
}

/* Encode numbers as DELTA_BINARY_PACKED (Encodings.md). `out` has room for 64 octets and 1,050
   for each 128 values begun; returns how many octets it takes. Little-endian machines only. */
int64_t pack_deltas(const int64_t *values, int64_t n, uint8_t *out)
{
    uint8_t *start = out;
    out = put_varint(out, BLOCK);
    out = put_varint(out, MINIBLOCKS);
    out = put_varint(out, (uint64_t)n);
    out = put_zigzag(out, n ? values[0] : 0);
    for (int64_t row = 1; row < n; row += BLOCK) {
        int64_t rows = n - row < BLOCK ? n - row : BLOCK;
        uint64_t deltas[BLOCK] = {0};
        int64_t least = INT64_MAX;
        for (int64_t place = 0; place < rows; place++) {
            deltas[place] = (uint64_t)values[row + place] - (uint64_t)values[row + place - 1];
            least = (int64_t)deltas[place] < least ? (int64_t)deltas[place] : least;
        }
        out = put_zigzag(out, least);
        uint8_t *widths = out;
        memset(widths, 0, MINIBLOCKS);
        out += MINIBLOCKS;
        for (int64_t place = 0; place < rows; place++)
            deltas[place] -= (uint64_t)least;
        for (int part = 0; part * MINIBLOCK < rows; part++) {
            uint64_t every = 0;
            for (int place = 0; place < MINIBLOCK; place++)
                every |= deltas[part * MINIBLOCK + place];
            widths[part] = (uint8_t)(every ? 64 - __builtin_clzll(every) : 0);
            if (widths[part])
                out = pack_bits(out, deltas + part * MINIBLOCK, widths[part]);
        }
    }
    return out - start;
}
