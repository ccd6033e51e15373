"""Kernels in C for the hottest loops, for machines that had a C compiler when this was installed.

Each kernel has a twin in numpy, which is the reference. Values, sums and samples are the same; the
order of distinct values and groups, and the size of a Bloom filter, need not be. Where the library
is missing, the twins do the work, more slowly.
"""
