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

/* The upper `bits` bits of a product: cheaper, and with a seed that nobody knows still no two values
   meet more often than by chance (Dietzfelbinger et al. 1997). At least 1 bit. */
static inline uint64_t mix_bits(uint64_t value, uint64_t seed, unsigned bits)
{
    return value * (seed | 1) >> (64 - bits);
}

#endif
