/* Priority sampling of flows: who is above the lowest threshold.

   Twin: appliance/flowlog/samples/drawing.py; the same numbers to the last bit, so it is compiled
   without contracted multiply-adds. */

#include <stdint.h>
#include <stdlib.h>

#include "hashing.h"

/* What a flow is worth beside its octets, as OCTETS_A_FLOW. */
static const double octets_a_flow = 5000.0;

/* RecordKind.FLOW. */
static const uint8_t flow_record = 0;

/* A column: one value for each row, or, with a stride of 0, one of all. */
#define VALUE(column, row) (column)[(row) * column##_stride]

/* Find the strata of some rows, as stratum_keys() tells them apart, in the order in which they are
   met first, and which of them each row is of. `keys` has room for `most`, `codes` for n. Returns
   how many there are, -1 for more than `most` (at most 65,536), -2 without memory. */
int64_t strata(const uint64_t *high, int64_t high_stride, const uint64_t *low, int64_t low_stride,
               const uint8_t *direction, int64_t direction_stride, int64_t n, uint64_t *keys,
               uint16_t *codes, int64_t most, uint64_t seed)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)most)
        size *= 2;
    uint32_t *places = calloc(size, sizeof *places);
    if (!places)
        return -2;
    /* The records of a datagram are of one exporter: what its directions are is kept. `run` tells
       exporters apart, so that nothing has to be cleared. */
    uint32_t known[256], known_in[256] = {0}, run = 0;
    uint64_t last_high = 0, last_low = 0;
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        uint64_t of_high = VALUE(high, row), of_low = VALUE(low, row);
        uint8_t of_direction = VALUE(direction, row);
        if (!run || of_high != last_high || of_low != last_low) {
            run++;
            last_high = of_high;
            last_low = of_low;
        }
        if (known_in[of_direction] != run) {
            uint64_t key = of_high * 0x9E3779B97F4A7C15ULL;
            key = (key ^ of_low) * 0xBF58476D1CE4E5B9ULL;
            key = (key ^ of_direction) * 0x94D049BB133111EBULL;
            uint64_t slot = mix(key, seed) & (size - 1);
            while (places[slot] && keys[places[slot] - 1] != key)
                slot = (slot + 1) & (size - 1);
            if (!places[slot]) {
                if (count == most) {
                    count = -1;
                    break;
                }
                keys[count] = key;
                places[slot] = (uint32_t)++count;
            }
            known[of_direction] = places[slot];
            known_in[of_direction] = run;
        }
        codes[row] = (uint16_t)(known[of_direction] - 1);
    }
    free(places);
    return count;
}

/* Find the flows whose priority is above the threshold of their stratum. Writes their rows and
   priorities, which have room for n; returns how many there are. */
int64_t flows_above(const uint8_t *kind, int64_t kind_stride, const uint64_t *octets,
                    int64_t octets_stride, const uint64_t *flows, int64_t flows_stride,
                    const double *rate, int64_t rate_stride, const uint64_t *places,
                    const uint16_t *codes, const double *thresholds, int64_t n, uint64_t seed,
                    int64_t *rows, double *priorities)
{
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        double scale = VALUE(rate, row), threshold = thresholds[codes[row]];
        uint64_t counted = VALUE(flows, row);
        if (!(scale >= 1 && scale <= 4294967296.0))
            scale = 1;
        double size = (double)VALUE(octets, row) * scale;
        size += octets_a_flow * (double)(counted > 1 ? counted : 1);
        uint64_t bits = places[row] * 0x9E3779B97F4A7C15ULL + seed;
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ULL;
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBULL;
        bits ^= bits >> 31;
        double uniform = (double)((bits >> 11) + 1) * 0x1p-53;
        /* Nearly no row passes; a product that rounds the other way must not decide. */
        if (size < threshold * uniform * (1 - 0x1p-50) || VALUE(kind, row) != flow_record)
            continue;
        double priority = size / uniform;
        if (priority > threshold) {
            rows[count] = row;
            priorities[count++] = priority;
        }
    }
    return count;
}
