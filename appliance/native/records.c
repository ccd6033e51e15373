/* Numbers of Data Records, from the octets of datagrams to columns.

   Twin: FixedRecords in appliance/decoding/records/fixed_records.py. */

#include <stdint.h>
#include <string.h>

/* Read a big-endian number of each record of a Set. */
#define READ(bits, swapped)                                                                        \
    do {                                                                                           \
        uint##bits##_t *to = (uint##bits##_t *)(uintptr_t)columns[field] + done;                   \
        for (int64_t record = 0; record < counts[set]; record++, from += octets) {                 \
            uint##bits##_t value;                                                                  \
            memcpy(&value, from, sizeof value);                                                    \
            to[record] = swapped;                                                                  \
        }                                                                                          \
    } while (0)

/* Read fields of the records of some Sets. Set after set, so that its octets, which all fields are
   read from, are fetched once.

   starts, counts: where the first record of each Set lies in `flat`, and how many it has; the
   caller has seen that these end within it. octets: of a record. offsets, widths: of each field in
   a record, of 1, 2, 4 or 8 octets. columns: where its numbers go. */
void read_numbers(const uint8_t *flat, const int64_t *starts, const int64_t *counts, int64_t n_sets,
                  int64_t octets, const int64_t *offsets, const int64_t *widths,
                  const uint64_t *columns, int64_t n_fields)
{
    int64_t done = 0;
    for (int64_t set = 0; set < n_sets; set++) {
        for (int64_t field = 0; field < n_fields; field++) {
            const uint8_t *from = flat + starts[set] + offsets[field];
            switch (widths[field]) {
            case 1:
                READ(8, value);
                break;
            case 2:
                READ(16, __builtin_bswap16(value));
                break;
            case 4:
                READ(32, __builtin_bswap32(value));
                break;
            case 8:
                READ(64, __builtin_bswap64(value));
                break;
            }
        }
        done += counts[set];
    }
}
