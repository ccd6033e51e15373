/* Priority sampling of flows: who is above the lowest threshold.

   Twin: appliance/flowlog/samples/drawing.py; the same numbers to the last bit, so it is compiled
   without contracted multiply-adds. */

#include <stdint.h>

/* What a flow is worth beside its octets, as OCTETS_A_FLOW. */
static const double octets_a_flow = 5000.0;

/* Find the rows whose priority is above `lowest`. A stride is 1, or 0 for one value of all rows.
   Writes their places and priorities, which have room for n; returns how many there are. */
int64_t priorities_above(const uint64_t *octets, int64_t octets_stride, const uint64_t *flows,
                         int64_t flows_stride, const double *rates, int64_t rates_stride,
                         const uint64_t *places, int64_t n, uint64_t seed, double lowest,
                         int64_t *chosen, double *priorities)
{
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        double rate = rates[row * rates_stride];
        uint64_t counted = flows[row * flows_stride];
        if (!(rate >= 1 && rate <= 4294967296.0))
            rate = 1;
        double size = (double)octets[row * octets_stride] * rate;
        size += octets_a_flow * (double)(counted > 1 ? counted : 1);
        uint64_t bits = places[row] * 0x9E3779B97F4A7C15ULL + seed;
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ULL;
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBULL;
        bits ^= bits >> 31;
        double uniform = (double)((bits >> 11) + 1) * 0x1p-53;
        /* Nearly no row passes; a product that rounds the other way must not decide. */
        if (size < lowest * uniform * (1 - 0x1p-50))
            continue;
        double priority = size / uniform;
        if (priority > lowest) {
            chosen[count] = row;
            priorities[count++] = priority;
        }
    }
    return count;
}
