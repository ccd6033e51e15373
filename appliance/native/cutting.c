/* Which sums by cell and name are large, and how large those are that are let go.

   Twin: appliance/plugins/rollups/cutting.py. */

#include <stdint.h>

enum { MEASURES = 3 };

/* Count by cell and measure the rows that are at least as large as its threshold. `sums` has n of
   the first measure, then n of the next one; a cell has three thresholds, and three counts. */
void count_large(const int64_t *sums, const uint32_t *cells, int64_t n, const int64_t *thresholds,
                 int64_t *counts)
{
    for (int64_t row = 0; row < n; row++)
        for (int64_t measure = 0; measure < MEASURES; measure++) {
            int64_t place = cells[row] * MEASURES + measure;
            counts[place] += sums[measure * n + row] >= thresholds[place];
        }
}

/* Part the rows into those that are at least as large as a threshold of their cell by any measure,
   and others; write the places of both, which have room for n, and by cell and measure the largest
   of the others. Returns how many are large. */
int64_t part_large(const int64_t *sums, const uint32_t *cells, int64_t n,
                   const int64_t *thresholds, int64_t *large, int64_t *others, int64_t *largest)
{
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        const int64_t first = cells[row] * MEASURES;
        int64_t is_large = 0;
        for (int64_t measure = 0; measure < MEASURES; measure++)
            is_large |= sums[measure * n + row] >= thresholds[first + measure];
        /* Both are written, one counts: which one cannot be foreseen. */
        large[count] = row;
        others[row - count] = row;
        count += is_large;
        for (int64_t measure = 0; measure < MEASURES; measure++) {
            int64_t sum = is_large ? 0 : sums[measure * n + row];
            if (sum > largest[first + measure])
                largest[first + measure] = sum;
        }
    }
    return count;
}
