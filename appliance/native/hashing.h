/* Mixing of 64-bit values for hash tables: seeded, so that nobody outside can choose what meets. */

#ifndef APPLIANCE_HASHING_H
#define APPLIANCE_HASHING_H

#include <stdint.h>

static inline uint64_t mix(uint64_t value, uint64_t seed)
{
    __uint128_t product = (__uint128_t)(value ^ seed) * (seed | 1);
    uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    mixed *= 0x9E3779B97F4A7C15ULL;
    return mixed ^ (mixed >> 32);
}

#endif
