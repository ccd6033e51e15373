"""Kernels in C for the hottest loops, for machines that had a C compiler when this was installed.

Each kernel has a twin in numpy, which is the reference: the same arrays in, the same arrays out.
Where the library is missing, the twins do the work, two to ten times as slowly.
"""
